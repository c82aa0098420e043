import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { newId } from '@xvault/shared/ids.ts';
import { sourceConnection } from '@xvault/shared/sources.ts';
import { testClient } from '@xvault/shared/testing/cloud/providers.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRunWithToken } from '../engines/sync/oauth/hand-on-token.ts';
import { googleDriveRemote } from '../engines/sync/remotes/cloud.ts';
import { nothingToClose } from '../engines/sync/sides/side.ts';
import { type CloudPlatform, makeCloudPlatform, withApps } from './sync-cloud.test-kit.ts';

const run = promisify(execFile);
let cloud: CloudPlatform;
beforeAll(async () => {
  cloud = await makeCloudPlatform();
  cloud.providers.drive.put('a.txt', 'a');
});
afterAll(() => cloud?.stop());

/** A program in rclone's place that changes its config before it starts it. */
async function wrapper(change: string): Promise<string> {
  const path = join(await mkdtemp(join(cloud.root, 'wrapper-')), 'rclone');
  const script = `#!/bin/bash
for argument in "$@"; do
  case $argument in --config=*) config=\${argument#--config=} ;; esac
done
sed -i '${change}' "$config"
exec rclone "$@"
`;
  await writeFile(path, script, { mode: 0o755 });
  return path;
}

describe('the token of a connection', () => {
  it('is what rclone acts by, and operators see that it is', async () => {
    const connection = await cloud.connect('google_drive');
    const source = sourceConnection.parse({ type: 'google_drive', config: { connection_id: connection.id } });
    const { diagnostics } = await cloud.sync(connection, source, newId());
    expect(diagnostics).toMatchObject({ 'gdrive.token_enforced_in_conf': true });
  });

  it.each([
    ['is missing from the config', '/^token = /d'],
    ['is another one in the config', 's/"access_token":"[^"]*"/"access_token":"of-somebody-else"/'],
    ['would be renewed elsewhere', 's|^token_url = .*|token_url = http://127.0.0.1:9/|'],
    ['has no config any more', 's/.*//'],
  ])('%s: the run ends before anything is read', async (_, change) => {
    const other = await makeCloudPlatform({ ...withApps(), XVAULT_RCLONE: await wrapper(change) });
    try {
      const connection = await other.connect('google_drive');
      const source = sourceConnection.parse({ type: 'google_drive', config: { connection_id: connection.id } });
      const error = await other.sync(connection, source, newId()).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'ERR_GDRIVE_ENFORCE_TOKEN',
        retryable: true,
        diagnostics: { 'gdrive.pre_refresh_ok': true, 'gdrive.token_enforced_in_conf': false },
      });
      const token = await other.tokenOf(connection);
      const detail = String((error as { detail?: unknown }).detail);
      for (const secret of [token.access_token, token.refresh_token, testClient.clientSecret, 'of-somebody-else']) {
        expect(`${detail} ${JSON.stringify(error)}`).not.toContain(secret);
      }
      expect(other.providers.calls).toEqual([]);
      const { context } = await other.contextBy(connection, source);
      const asked = other.sources.probe(source, context.start.source_secret_sealed, context.signal, context);
      await expect(asked).rejects.toMatchObject({ code: 'ERR_GDRIVE_ENFORCE_TOKEN' });
    } finally {
      await other.stop();
    }
  });

  it('has no room on the disk', async () => {
    const small = join(cloud.root, 'small');
    await mkdir(small);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', small]);
    try {
      await run('dd', ['if=/dev/zero', `of=${join(small, 'full')}`, 'bs=4k', 'count=4', 'status=none']).catch(
        () => null,
      );
      const { clientId, clientSecret } = testClient;
      const config = sourceConnection.parse({ type: 'google_drive', config: { connection_id: newId() } }).config;
      if (!('team_drive' in config)) throw new Error('another config');
      const tokenJson = JSON.stringify({ access_token: 'a', refresh_token: 'r', expiry: new Date().toISOString() });
      const remote = googleDriveRemote(config, { app: { clientId, clientSecret }, tokenJson });
      const seen: Record<string, boolean> = {};
      const options = {
        binary: 'rclone',
        directory: { path: small, remove: nothingToClose },
        guard: cloud.deps.guard,
        source: { remote, listsMtimes: true, close: nothingToClose },
        crypt: null,
        onLine: () => undefined,
        signal: new AbortController().signal,
      };
      const opening = openRunWithToken(options, (name, value) => {
        seen[name] = value;
      });
      await expect(opening).rejects.toMatchObject({ code: 'ERR_GDRIVE_ENFORCE_TOKEN' });
      expect(seen).toEqual({ 'gdrive.token_enforced_in_conf': false });
    } finally {
      await run('umount', [small]);
    }
  });
});
