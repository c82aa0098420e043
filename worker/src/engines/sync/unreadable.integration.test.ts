import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform } from '../../handlers/sync-context.test-kit.ts';
import { expectDiscreet } from '../../handlers/sync-faults.test-kit.ts';
import { folderOf, jobOf, local } from '../../handlers/sync-places.test-kit.ts';
import { powerlessRclone } from './powerless-rclone.test-kit.ts';

let platform: SyncPlatform;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xvault-unreadable-test-'));
  platform = await makeSyncPlatform({ XVAULT_RCLONE: await powerlessRclone(folder) });
});
afterEach(async () => {
  await platform.remove();
  await rm(folder, { recursive: true, force: true });
});

const files = { 'a.txt': 'a', 'gone.txt': 'gone', 'open/b.txt': 'b', 'closed/c.txt': 'c', 'closed/deep/d.txt': 'd' };

it.each([
  ['cannot be opened', 0o000],
  ['tells names and no more', 0o400],
])(
  'a directory of a disk that %s is a warning; the rest is backed up and nothing below it is lost',
  async (_, mode) => {
    const path = await folderOf(platform, files);
    const job = jobOf(local(path));
    expect((await platform.backup(job)).result.snapshot.file_count).toBe(5);
    await writeFile(join(path, 'new.txt'), 'new');
    await writeFile(join(path, 'open/b.txt'), 'b, changed');
    await rm(join(path, 'gone.txt'));
    await chmod(join(path, 'closed'), mode);
    const { result, told } = await platform.backup(job);
    expect(told.events.filter(({ type }) => type === 'warning').map(({ params }) => params.item)).toEqual(['closed']);
    expect(told.events.at(-1)).toMatchObject({ type: 'summary', code: 'COMPLETED_WARNING' });
    expectDiscreet(platform, told, []);
    // a, the new b, the new one, and what was in the closed directory.
    expect(result.snapshot.file_count).toBe(5);
    // Half of the objects are not to be seen, which is no removal.
    expect(result.snapshot.source_bytes).toBe('a'.length + 'b, changed'.length + 'new'.length + 'cd'.length);
    await chmod(join(path, 'closed'), 0o700);
    const healed = await platform.backup(job);
    expect(healed.result.snapshot.file_count).toBe(5);
    expect(healed.told.warnings).toBe(0);
  },
);

it('of a first version too, and with files beside it that cannot be read', async () => {
  const path = await folderOf(platform, { ...files, 'certificate.pem': 'x', '530 x509: 403 ': 'x', eof: 'x' });
  for (const name of ['closed', 'certificate.pem', '530 x509: 403 ', 'eof']) await chmod(join(path, name), 0);
  const { result, told } = await platform.backup(jobOf(local(path)));
  const named = told.events.filter(({ type }) => type === 'warning').map(({ params }) => params.item);
  expect(named.sort()).toEqual(['530 x509: 403 ', 'certificate.pem', 'closed', 'eof']);
  expect(result.snapshot.file_count).toBe(3);
  await chmod(join(path, 'closed'), 0o700);
});

it('a source that cannot be opened at all is told as that', async () => {
  const path = await folderOf(platform, files);
  const job = jobOf(local(path));
  await platform.backup(job);
  await chmod(path, 0);
  const { error } = await platform.failedBackup(job);
  await chmod(path, 0o700);
  expect(error).toMatchObject({ code: 'SOURCE_PERMISSION', retryable: false });
});

it('a directory of the destination that cannot be opened is no empty one', async () => {
  const path = await folderOf(platform, files);
  const job = jobOf(local(path));
  await platform.backup(job);
  const place = join(
    platform.config.XVAULT_STORAGE_DIR,
    'tenants/tenant/sources/source/sync',
    job.jobId,
    'current/closed',
  );
  await chmod(place, 0);
  await writeFile(join(path, 'new.txt'), 'new');
  const { error } = await platform.failedBackup(job);
  expect(error).toMatchObject({ code: 'STORAGE_PERMISSION' });
  await chmod(place, 0o700);
  await writeFile(join(path, 'newer.txt'), 'newer');
  expect((await platform.backup(job)).result.snapshot.file_count).toBe(7);
});
