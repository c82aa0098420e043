import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { expectDiscreet } from './sync-faults.test-kit.ts';
import { folderOf, jobOf, local, overSftp } from './sync-places.test-kit.ts';

let platform: SyncPlatform;
let sshd: TestSshd;

beforeAll(async () => {
  [platform, sshd] = await Promise.all([makeSyncPlatform(), startSshd()]);
});
afterAll(() => Promise.all([platform.remove(), sshd.stop()]));

describe('single items', () => {
  it('an unreadable file and an unreadable directory are warnings; the rest is there and nothing is removed', async () => {
    const path = await mkdtemp(join(sshd.dataDir, 'items-'));
    await mkdir(join(path, 'closed'));
    for (const name of ['a.txt', 'b.txt', 'gone.txt', 'closed/c.txt']) await writeFile(join(path, name), name);
    for (const name of ['', 'closed', 'a.txt', 'b.txt', 'gone.txt', 'closed/c.txt']) {
      await chown(join(path, name), sshd.user.uid, sshd.user.gid);
    }
    const running = jobOf(overSftp(sshd, { path }));
    expect((await platform.backup(running)).result.snapshot.file_count).toBe(4);

    await writeFile(join(path, 'b.txt'), 'b.txt, changed');
    await chown(join(path, 'b.txt'), 0, 0);
    await chmod(join(path, 'b.txt'), 0o600);
    await chown(join(path, 'closed'), 0, 0);
    await chmod(join(path, 'closed'), 0o700);
    await rm(join(path, 'gone.txt'));
    await writeFile(join(path, 'new.txt'), 'new');
    const { result, told } = await platform.backup(running);
    const named = told.events.filter(({ type }) => type === 'warning').map(({ params }) => params.item);
    expect(named.sort()).toEqual(['b.txt', 'closed']);
    expect(told.warnings).toBe(2);
    expectDiscreet(platform, told, [sshd.user.password]);
    // a, the old b, what was in the closed directory, and the new one.
    expect(result.snapshot.file_count).toBe(4);
    expect(told.events.at(-1)).toMatchObject({ type: 'summary', code: 'COMPLETED_WARNING' });
  });

  it('a run without changes says so', async () => {
    const path = await folderOf(platform, { 'a.txt': 'a' });
    const running = jobOf(local(path));
    expect((await platform.backup(running)).told.events.at(-1)).toMatchObject({ code: 'COMPLETED_SUCCESS' });
    expect((await platform.backup(running)).told.events.at(-1)).toMatchObject({ code: 'NO_CHANGES' });
  });
});
