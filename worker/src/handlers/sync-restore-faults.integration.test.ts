import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdtemp, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { disk, folderOf, jobOf, local, overSftp, toServer } from './sync-places.test-kit.ts';
import { filesBelow, killRclone, restoreInto } from './sync-restore.test-kit.ts';

const mebibyte = 1024 * 1024;
let platform: SyncPlatform;
let sshd: TestSshd;
beforeAll(async () => {
  [platform, sshd] = await Promise.all([makeSyncPlatform(), startSshd()]);
});
afterAll(() => Promise.all([platform.remove(), sshd.stop()]));

async function serverFolder(): Promise<string> {
  const folder = await mkdtemp(join(sshd.dataDir, 'target-'));
  await chown(folder, sshd.user.uid, sshd.user.gid);
  return folder;
}

async function backedUp(files: Record<string, string | Buffer>, to = disk) {
  const path = await folderOf(platform, files);
  const job = jobOf(local(path), to);
  return { path, job, made: await platform.backup(job) };
}

describe('what goes wrong at the target is told as that', () => {
  it('it is full', async () => {
    const { job, made } = await backedUp({ a: 'a', 'large.bin': randomBytes(5 * mebibyte) });
    const small = await serverFolder();
    await run('mount', ['-t', 'tmpfs', '-o', 'size=3m,mode=777', 'tmpfs', small]);
    try {
      await expect(restoreInto(platform, job, made, overSftp(sshd, { path: small }))).rejects.toMatchObject({
        code: 'STORAGE_FULL',
        detail: expect.stringMatching(/restored to/),
      });
      expect(await filesBelow(small)).toEqual({ a: 'a' });
    } finally {
      await run('umount', [small]);
    }
  });

  it('it denies everything', async () => {
    const { job, made } = await backedUp({ a: 'a', 'sub/b': 'b', c: 'c' });
    const denied = await mkdtemp(join(sshd.dataDir, 'denied-'));
    await chmod(denied, 0o755);
    await expect(restoreInto(platform, job, made, overSftp(sshd, { path: denied }))).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
    });
  });

  it('it denies one of several', async () => {
    const { job, made } = await backedUp({ 'sub/b': 'b', c: 'c' });
    const target = await serverFolder();
    await run('install', ['-d', '-m', '755', '-o', 'root', join(target, 'sub')]);
    const { result, told } = await restoreInto(platform, job, made, overSftp(sshd, { path: target }));
    expect(result).toMatchObject({ file_count: 1, actions: { create: 1, fail: 1, skip: 2 } });
    expect(told.warnings).toBe(1);
    expect(told.events).toContainEqual(
      expect.objectContaining({ code: 'ITEM_NOT_RESTORED', params: { item: 'sub/b' } }),
    );
  });

  it('it does not let in', async () => {
    const { job, made } = await backedUp({ a: 'a' });
    const to = overSftp(sshd, {}, { password: 'wrong' });
    await expect(restoreInto(platform, job, made, to)).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
  });
});

it('a server’s symlinks lead nothing out of the target', async () => {
  const { job, made } = await backedUp({ 'docs/a': 'from the backup', b: 'from the backup', c: 'c' });
  const [target, outside] = [await serverFolder(), await serverFolder()];
  for (const name of ['a', 'b']) {
    await writeFile(join(outside, name), 'precious');
    await chown(join(outside, name), sshd.user.uid, sshd.user.gid);
  }
  await symlink(outside, join(target, 'docs'));
  await symlink(join(outside, 'b'), join(target, 'b'));
  const { told } = await restoreInto(platform, job, made, overSftp(sshd, { path: target }), { overwrite: 'always' });
  expect(await filesBelow(outside)).toEqual({ a: 'precious', b: 'precious' });
  expect(await filesBelow(target)).toEqual({ b: 'from the backup', c: 'c' });
  expect(told.warnings).toBe(1);
});

describe('a storage that', () => {
  it('breaks off is read on from there, and one that goes away is told as that', async () => {
    const proxy = await startTcpProxy(sshd.port);
    try {
      const content = randomBytes(24 * mebibyte);
      const { job, made } = await backedUp({ a: 'a', 'large.bin': content }, toServer(sshd, { port: proxy.port }));
      const target = await folderOf(platform, {});
      proxy.setLatencyMs(20);
      const cuts = cutAfter(proxy, 4 * mebibyte, proxy.cut);
      const { result } = await restoreInto(platform, job, made, local(target));
      await cuts;
      expect(result.file_count).toBe(2);
      expect((await readFile(join(target, 'large.bin'))).equals(content)).toBe(true);

      const other = await folderOf(platform, {});
      const goes = cutAfter(proxy, 4 * mebibyte, () => void proxy.close());
      await expect(restoreInto(platform, job, made, local(other))).rejects.toMatchObject({
        code: 'STORAGE_UNREACHABLE',
        retryable: true,
      });
      await goes;
      expect(Object.keys(await filesBelow(other)).filter((name) => name !== 'a')).toEqual([]);
    } finally {
      await proxy.close().catch(() => undefined);
    }
  }, 300_000);
});

async function cutAfter(proxy: Awaited<ReturnType<typeof startTcpProxy>>, bytes: number, act: () => void) {
  const begun = proxy.bytesToClients();
  await until('the reading', () => proxy.bytesToClients() > begun + bytes);
  act();
}

describe('an attempt that was killed', () => {
  it.each(['never', 'rename'] as const)(
    'leaves nothing half-written, and the next one does it all (%s)',
    async (overwrite) => {
      const proxy = await startTcpProxy(sshd.port);
      try {
        const content = randomBytes(24 * mebibyte);
        const { job, made } = await backedUp({ 'large.bin': content });
        const target = await serverFolder();
        const to = overSftp(sshd, { port: proxy.port, path: target });
        const how = { overwrite, runId: newId() };
        proxy.setLatencyMs(20);
        const first = restoreInto(platform, job, made, to, how);
        await until('something', async () => (await sizesIn(target)).some((bytes) => bytes > mebibyte));
        proxy.stall();
        killRclone();
        proxy.resume();
        await expect(first).rejects.toMatchObject({ code: 'SYNC_FAILED', retryable: true });
        expect(await readdir(target)).toEqual([]);
        proxy.setLatencyMs(0);
        const second = await restoreInto(platform, job, made, to, { ...how, attempt: 2 });
        expect(second.result).toMatchObject({ file_count: 1, actions: { create: 1, skip: 1 } });
        expect((await readFile(join(target, 'large.bin'))).equals(content)).toBe(true);
        expect(await readdir(target)).toEqual(['large.bin']);
      } finally {
        await proxy.close();
      }
    },
  );
});

async function sizesIn(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return Promise.all(names.map(async (name) => (await stat(join(folder, name)).catch(() => ({ size: 0 }))).size));
}
