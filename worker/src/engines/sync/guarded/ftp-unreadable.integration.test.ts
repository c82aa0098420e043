import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import { sourceConnection } from '@xvault/shared/sources.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncJob, type SyncPlatform } from '../../../handlers/sync-context.test-kit.ts';
import { clientOf, closeKept, gatewayTo } from './ftp-gateway.test-kit.ts';

let platform: SyncPlatform;
let server: TestVsftpd;
beforeAll(async () => {
  platform = await makeSyncPlatform();
  server = await startVsftpd();
  for (const name of ['open/one', 'open/two', 'shut/three', 'shut/four', 'five']) {
    const path = join(server.dataDir, name);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, name);
  }
});
afterAll(async () => {
  await server?.stop();
  await platform?.remove();
});

function jobOf(path: string): SyncJob {
  const { port, user, password } = server;
  const config = { host: '127.0.0.1', port, user, path, tls: 'none' };
  const source = { connection: sourceConnection.parse({ type: 'ftp', config }), secret: { password } };
  return { source, destination: { connection: { type: 'local_fs', config: {} } }, jobId: newId() };
}

async function shut(isShut: boolean, mode = 0o700): Promise<void> {
  const directory = join(server.dataDir, 'shut');
  await (isShut ? chown(directory, 0, 0) : chown(directory, server.uid, server.gid));
  await chmod(directory, isShut ? mode : 0o755);
}

it('a directory that the server cannot open is no empty one', async () => {
  await shut(true);
  try {
    const client = await clientOf(await gatewayTo(server));
    expect(await client.download('LIST /shut')).toMatchObject({ end: 'ECONNRESET', reply: { code: 550 } });
    expect(await client.download('LIST /none')).toMatchObject({ end: 'ECONNRESET', reply: { code: 550 } });
    await chmod(join(server.dataDir, 'shut'), 0o711);
    for (const command of ['LIST /shut', 'LIST ../shut', 'LIST']) {
      expect((await client.download(command)).reply.code, command).toBe(command === 'LIST /shut' ? 553 : 501);
    }
    expect(await client.download('LIST /open')).toMatchObject({ end: 'end', reply: { code: 226 } });
    expect((await client.download('RETR /open/one')).data.toString()).toBe('open/one');
    expect(await client.ask('SIZE five')).toMatchObject({ code: 501 });
  } finally {
    await shut(false);
    await closeKept();
  }
});

it('what is hidden is brought too, and a name is no pattern', async () => {
  const names = ['.htaccess', '.hidden/deep', 'a[1]/x', 'a*/.y'];
  for (const name of names) {
    const path = join(server.dataDir, 'odd', name);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, name);
  }
  try {
    const { result, told } = await platform.backup(jobOf('/odd'));
    expect(told.warnings).toBe(0);
    expect(result.snapshot.file_count).toBe(names.length);
  } finally {
    await rm(join(server.dataDir, 'odd'), { recursive: true });
  }
});

it.each([0o700, 0o711])('a source that may not be read is an error: mode %o', async (mode) => {
  await shut(true, mode);
  try {
    const { error } = await platform.failedBackup(jobOf('/shut'));
    expect(error).toMatchObject({ code: mode === 0o711 ? 'SOURCE_PERMISSION' : 'SOURCE_PATH_NOT_FOUND' });
  } finally {
    await shut(false);
  }
});

it.each([0o700, 0o711])(
  'what it held is kept, mode %o, and the run says which directory it could not read',
  async (mode) => {
    const job = jobOf('/');
    await writeFile(join(server.dataDir, 'open/two'), 'two');
    expect((await platform.backup(job)).result.snapshot.file_count).toBe(5);
    await rm(join(server.dataDir, 'open/two'));
    await shut(true, mode);
    try {
      const { result, told } = await platform.backup(job);
      expect(told.events, JSON.stringify(told.notes)).toContainEqual(
        expect.objectContaining({ type: 'warning', code: 'ITEM_UNREADABLE', params: { item: 'shut' } }),
      );
      expect(told.events.at(-1)).toMatchObject({ code: 'COMPLETED_WARNING' });
      expect(result.snapshot.file_count).toBe(4);
    } finally {
      await shut(false);
    }
    const { result, told } = await platform.backup(job);
    expect(told.warnings).toBe(0);
    expect(result.snapshot.file_count).toBe(4);
  },
);
