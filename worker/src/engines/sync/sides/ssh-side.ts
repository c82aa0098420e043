import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SftpConfig, SftpSecret } from '@xvault/shared/sources.ts';
import { connectSsh, defaultSshTimeouts, type SshTarget } from '../../../connectors/ssh/client.ts';
import { openTunnel } from '../guarded/tunnel.ts';
import { sftpRemote } from '../remotes/servers.ts';
import { knownHosts } from './known-hosts.ts';
import type { Side, SideContext } from './side.ts';

/** How long after the login a server tells of its other keys: a round trip, of which the login took several. */
const keysWaitMs = { least: 400, most: 5000 };

/**
 * Logs in once to check the host key and the login, which rclone does slowly and says badly, and to learn the server's other keys:
 * rclone may ask for one of another kind than the pinned one. Throws SSH_…, SOURCE_….
 */
export async function openSshSide(
  config: SftpConfig,
  hostKey: string | null,
  secret: SftpSecret,
  { guard, directory, signal }: SideContext,
): Promise<Side> {
  const target: SshTarget = { config, secret, hostKey: { pinned: hostKey, acceptUnknown: false } };
  const begun = performance.now();
  const client = await connectSsh(guard, target, defaultSshTimeouts, signal);
  let keys: readonly Buffer[];
  try {
    const waitMs = Math.min(keysWaitMs.most, Math.max(keysWaitMs.least, performance.now() - begun));
    await sleep(waitMs, undefined, { signal });
    // A server that was cut short has not told all: rclone would take the next one of its keys for a changed one.
    const lost = client.lost();
    if (lost !== undefined) throw lost;
    keys = client.hostKeys();
  } finally {
    await client.close();
  }
  const hop = config.jump === null ? null : await openHop(config, secret, { guard, directory, signal });
  const tunnel = await openTunnel(
    hop === null
      ? (stop) => guard.dial(config.host, config.port, { timeoutMs: defaultSshTimeouts.connectMs, signal: stop })
      : (stop) => hop.forward(config.host, config.port, stop),
  );
  const file = join(directory, `known-hosts-${randomBytes(4).toString('hex')}`);
  await writeFile(file, knownHosts(tunnel.host, tunnel.port, keys), { mode: 0o600 });
  return {
    remote: sftpRemote(config, secret, tunnel, file),
    listsMtimes: true,
    async close() {
      await tunnel.close();
      await hop?.close();
    },
  };
}

async function openHop({ jump }: SftpConfig, secret: SftpSecret, { guard, signal }: SideContext) {
  if (jump === null) throw new Error('there is no jump host');
  const { host, port, user, host_key } = jump;
  const target: SshTarget = {
    config: { host, port, user, jump: null },
    secret: secret.jump ?? secret,
    hostKey: { pinned: host_key, acceptUnknown: false },
  };
  return connectSsh(guard, target, defaultSshTimeouts, signal);
}
