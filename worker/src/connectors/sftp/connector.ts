import { XVaultError } from '@xvault/shared/errors.ts';
import type { SftpConfig, SftpSecret } from '@xvault/shared/sources.ts';
import { pathToText } from '../../artifact/path-text.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { untilAborted } from '../../net/until-aborted.ts';
import type { Connector, SourceProbe } from '../connector.ts';
import type { HostKeyPolicy } from './host-key.ts';
import { openDirectory, readNames, realPath } from './operations.ts';
import { type OpenedRoot, openRoot } from './root.ts';
import { sftpSession } from './session.ts';
import { connectSsh, type SshConnection, type SshTimeouts } from './ssh-connection.ts';
import { SftpWire } from './wire.ts';

export type SftpTarget = SftpConfig & {
  /** Pinned `SHA256:…` fingerprint; null is accepted by `probe` alone. */
  readonly host_key: string | null;
};

export interface SftpConnectorOptions {
  readonly guard: AddressGuard;
  readonly timeouts?: Partial<SshTimeouts>;
}

const defaultTimeouts: SshTimeouts = {
  connectMs: 20_000,
  handshakeMs: 30_000,
  keepaliveMs: 15_000,
  keepaliveCount: 3,
  stallMs: 120_000,
};
const probedNames = 100;

interface Opened {
  readonly connection: SshConnection;
  readonly wire: SftpWire;
  readonly root: OpenedRoot;
}

/** Sources that are read over SFTP. */
export function createSftpConnector({ guard, timeouts }: SftpConnectorOptions): Connector<SftpTarget, SftpSecret> {
  const limits = { ...defaultTimeouts, ...timeouts };

  async function open(
    target: SftpTarget,
    secret: SftpSecret,
    acceptUnknown: boolean,
    signal: AbortSignal,
  ): Promise<Opened> {
    const hostKey: HostKeyPolicy = { pinned: target.host_key, acceptUnknown };
    const connection = await connectSsh(guard, { config: target, secret, hostKey }, limits, signal);
    const wire = new SftpWire(connection.channel, { stallMs: limits.stallMs, beforeWrite: gatherWrites(connection) });
    connection.onLost((error) => wire.fail(error));
    try {
      await untilAborted(wire.start(), signal);
      return { connection, wire, root: await openRoot(wire, target.path, signal) };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  return {
    async connect(target, secret, signal) {
      const { connection, wire, root } = await open(target, secret, false, signal);
      return sftpSession(wire, root, async () => {
        wire.fail(new XVaultError('SOURCE_LOST', { detail: 'the session was closed' }));
        await connection.close();
      });
    },
    async probe(target, secret, signal): Promise<SourceProbe> {
      const { connection, wire, root } = await open(target, secret, true, signal);
      try {
        const askedAt = performance.now();
        await realPath(wire, root.path, signal);
        const latencyMs = performance.now() - askedAt;
        const entryNames = await firstNames(wire, root, signal);
        return { hostKey: connection.fingerprint, server: connection.server, entryNames, latencyMs };
      } finally {
        await connection.close();
      }
    },
  };
}

async function firstNames(wire: SftpWire, root: OpenedRoot, signal: AbortSignal): Promise<string[]> {
  const handle = await openDirectory(wire, root.path, signal);
  const names: string[] = [];
  for (let reply = await readNames(wire, handle, signal); reply; reply = await readNames(wire, handle, signal)) {
    for (const { name } of reply) if (name.toString() !== '.' && name.toString() !== '..') names.push(pathToText(name));
    if (names.length >= probedNames) break;
  }
  wire.release(handle);
  return names.slice(0, probedNames).sort();
}

/** All requests of one turn leave in one write. */
function gatherWrites({ socket }: SshConnection): () => void {
  let gathering = false;
  return () => {
    if (gathering) return;
    gathering = true;
    socket.cork();
    process.nextTick(() => {
      gathering = false;
      socket.uncork();
    });
  };
}
