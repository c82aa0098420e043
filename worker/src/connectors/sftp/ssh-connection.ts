import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SftpConfig, SftpSecret } from '@xvault/shared/sources.ts';
import ssh2 from 'ssh2';
import type { AddressGuard } from '../../net/guard.ts';
import { authHandler } from './auth.ts';
import { fingerprintOf, type HostKeyPolicy, judgeHostKey } from './host-key.ts';
import { type Phase, sshError } from './ssh-errors.ts';

export interface SshTimeouts {
  /** Name resolution and TCP. */
  readonly connectMs: number;
  /** From the TCP connection to an open SFTP channel. */
  readonly handshakeMs: number;
  /** Between keepalive questions; a server that leaves `keepaliveCount` of them unanswered is lost. */
  readonly keepaliveMs: number;
  readonly keepaliveCount: number;
  /** With requests outstanding and not a byte received for so long, the connection is lost. */
  readonly stallMs: number;
}

export interface SshConnection {
  readonly socket: Socket;
  readonly fingerprint: string;
  /** The server's software, as in its greeting. */
  readonly server: string | null;
  /** The SFTP subsystem, its bytes not yet looked at. */
  readonly channel: Duplex;
  /** Calls back once, at once if it is lost already. */
  onLost(listener: (error: XVaultError) => void): void;
  close(): Promise<void>;
}

export interface SshTarget {
  readonly config: SftpConfig;
  readonly secret: SftpSecret;
  readonly hostKey: HostKeyPolicy;
}

/** Dials, checks the host key, then authenticates and opens the SFTP subsystem. The host key comes first in any case. */
export async function connectSsh(
  guard: AddressGuard,
  target: SshTarget,
  timeouts: SshTimeouts,
  signal: AbortSignal,
): Promise<SshConnection> {
  const { config } = target;
  const auth = authHandler(config.user, target.secret);
  const socket = await guard.dial(config.host, config.port, { timeoutMs: timeouts.connectMs, signal });
  const client = new ssh2.Client();
  let phase: Phase = 'handshake';
  let fingerprint = '';
  let refusal: XVaultError | undefined;
  let lost: XVaultError | undefined;
  let onLost: ((error: XVaultError) => void) | undefined;

  const lose = (error: XVaultError) => {
    if (lost) return;
    lost = refusal ?? error;
    socket.destroy();
    onLost?.(lost);
  };
  client.on('error', (error) => lose(sshError(error, phase)));
  client.on('close', () => lose(sshError(new Error('the server closed the connection'), phase)));
  client.on('handshake', () => {
    if (phase === 'handshake') phase = 'auth';
  });
  client.on('change password', () => {
    lose(new XVaultError('SOURCE_AUTH_FAILED', { detail: 'the server wants the password to be changed' }));
  });

  const hostVerifier = (key: Buffer): boolean => {
    const seen = fingerprintOf(key);
    // The key is checked again when session keys are renewed; it must stay the same.
    const pinned = fingerprint === '' ? target.hostKey : { pinned: fingerprint, acceptUnknown: false };
    refusal = judgeHostKey(seen, pinned);
    fingerprint = fingerprint === '' ? seen : fingerprint;
    return refusal === undefined;
  };

  const channel = await new Promise<Duplex>((resolve, reject) => {
    const stop = (error: unknown) => {
      settle();
      reject(error);
      socket.destroy();
    };
    const onAbort = () => stop(signal.reason);
    const timer = setTimeout(() => {
      stop(new XVaultError('SOURCE_TIMEOUT', { detail: `${phase} took longer than ${timeouts.handshakeMs} ms` }));
    }, timeouts.handshakeMs);
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      onLost = undefined;
    };
    onLost = stop;
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    client.once('ready', () => {
      phase = 'session';
      client.subsys('sftp', (cause, opened) => {
        if (cause)
          return stop(lost ?? new XVaultError('SOURCE_PROTOCOL', { detail: `no SFTP: ${cause.message}`, cause }));
        settle();
        opened.stderr.resume();
        return resolve(opened);
      });
    });
    client.connect({
      sock: socket,
      username: config.user,
      hostVerifier,
      authHandler: auth,
      readyTimeout: 0,
      keepaliveInterval: timeouts.keepaliveMs,
      keepaliveCountMax: timeouts.keepaliveCount,
    });
  });

  const version: unknown = Reflect.get(client, '_remoteVer');
  return {
    socket,
    fingerprint,
    server: typeof version === 'string' ? version : null,
    channel,
    onLost(listener) {
      if (lost) listener(lost);
      else onLost = listener;
    },
    async close() {
      onLost = undefined;
      client.end();
      await closed(socket, 2000);
    },
  };
}

/** The polite end first; a server that does not answer is not waited for. */
function closed(socket: Socket, timeoutMs: number): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
