import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { ConnectionSettings } from '../../../connectors/ftp/settings.ts';
import { trustOf } from './dial-origin.ts';
import type { ChannelLimits } from './ftp-channel.ts';
import { FtpLogins } from './ftp-logins.ts';
import { namesOf } from './ftp-names.ts';
import { FtpSession } from './ftp-session.ts';

const defaultLimits: ChannelLimits = { acceptMs: 20_000, verdictMs: 60_000 };

/**
 * An FTP server on loopback for one run that leads to one server: control and data connections are dialled through the guard, to
 * the one address that was checked, and encrypted as the source's config says.
 */
export interface FtpGateway {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** Of this gateway alone; the server's own are not told to clients. */
  readonly user: string;
  readonly password: string;
  /** How many connections the server lets be at a time, of those that the config asks for. */
  readonly connections: number;
  /** How many files may be read at a time, so that nothing waits for ever. */
  readonly transfers: number;
  close(): Promise<void>;
}

/** Logs in to the server as often as it is going to be needed, to see that it can be done. Throws SOURCE_… errors, or the signal's reason. */
export async function openFtpGateway(
  settings: ConnectionSettings,
  signal: AbortSignal,
  limits: Partial<ChannelLimits> = {},
): Promise<FtpGateway> {
  const server = { ...settings, trust: trustOf(settings.config.ca_pem) };
  const logins = await FtpLogins.open(server, settings.config.connections, signal);
  const names = namesOf(settings.config.encoding);
  const { isAskedForTimes } = logins.habits;
  const hidden = new Set([
    // Told that there is UTF-8, rclone would have the server switch to it.
    ...(settings.config.encoding === 'latin1' ? ['UTF8'] : []),
    // rclone asks for the time of a file while it still has it open, which takes a second connection.
    ...(isAskedForTimes && logins.most === 1 ? ['MDTM'] : []),
  ]);
  const [user, password] = [randomBytes(12).toString('hex'), randomBytes(24).toString('hex')];
  const wanted = Buffer.from(`${user} ${password}`);
  const isAllowed = (...given: readonly [string, string]) => {
    const bytes = Buffer.from(given.join(' '));
    return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
  };
  const sessions = new Map<Socket, FtpSession>();
  const listener = createServer({ noDelay: true }, (near) => {
    sessions.set(
      near,
      new FtpSession(near, { logins, names, hidden, channels: { ...defaultLimits, ...limits }, isAllowed }),
    );
    near.once('close', () => sessions.delete(near));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  // One that could not be accepted is the client's to try again.
  listener.on('error', () => undefined);
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has no port');
  return {
    host: '127.0.0.1',
    port: address.port,
    user,
    password,
    connections: logins.most,
    transfers: isAskedForTimes ? Math.max(1, logins.most - 1) : logins.most,
    async close() {
      for (const [near, session] of sessions) {
        session.close();
        near.destroy();
      }
      listener.close();
      await Promise.all([once(listener, 'close'), logins.close()]);
    },
  };
}
