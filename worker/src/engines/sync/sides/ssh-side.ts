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

/** How long after the login a server tells of its other keys. */
const keysWaitMs = 400;

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
  const client = await connectSsh(guard, target, defaultSshTimeouts, signal);
  let keys: readonly Buffer[];
  try {
    await sleep(keysWaitMs, undefined, { signal });
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
