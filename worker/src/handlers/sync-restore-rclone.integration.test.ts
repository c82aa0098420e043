import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdtemp, readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { folderOf, jobOf, local, overSmb, overWebdav } from './sync-places.test-kit.ts';
import { filesBelow, killRclone, restoreInto } from './sync-restore.test-kit.ts';

const mebibyte = 1024 * 1024;
let platform: SyncPlatform;
let webdav: TestWebdav;
let samba: TestSamba;
beforeAll(async () => {
  [platform, webdav, samba] = await Promise.all([makeSyncPlatform(), startWebdav(), startSamba()]);
});
afterAll(() => Promise.all([platform.remove(), webdav.stop(), samba.stop()]));

async function backedUp(files: Record<string, string | Buffer>) {
  const path = await folderOf(platform, files);
  const job = jobOf(local(path));
  return { path, job, made: await platform.backup(job) };
}

/** A folder of the server that holds something already. */
async function holding(server: 'webdav' | 'smb', files: Record<string, string>): Promise<string> {
  const { dataDir, ...owner } = server === 'webdav' ? { ...webdav, uid: 0, gid: 0 } : samba;
  const folder = await mkdtemp(join(dataDir, 'to-'));
  const made = await folderOf(platform, files);
  for (const name of await readdir(made)) await rename(join(made, name), join(folder, name));
  for (const name of ['', ...(await readdir(folder, { recursive: true }))]) {
    await chown(join(folder, name), owner.uid, owner.gid);
  }
  return folder;
}

const to = (server: 'webdav' | 'smb', folder: string, port?: number) => {
  const path = basename(folder);
  if (server === 'smb') return overSmb(samba, { path });
  return overWebdav(webdav, { path, ...(port !== undefined && { url: `http://127.0.0.1:${port}/` }) });
};

describe.each(['webdav', 'smb'] as const)('a restore to %s, where something is', (server) => {
  const backup = { same: 'backup', 'dir/other': 'from the backup', 'dir/new/x': 'x' };
  // What a share cannot have in a name, rclone writes in its own way.
  const odd = server === 'smb' ? 'two␊lines' : 'two\nlines';
  const there = { same: 'others', 'dir/other': 'there', kept: 'kept' };

  it('never leaves it', async () => {
    const { job, made } = await backedUp({ ...backup, 'two\nlines': 'two' });
    const folder = await holding(server, there);
    const { result } = await restoreInto(platform, job, made, to(server, folder));
    expect(result).toMatchObject({ file_count: 2, actions: { create: 3, skip: 4 } });
    expect(await filesBelow(folder)).toEqual({ ...there, 'dir/new/x': 'x', [odd]: 'two' });
  });

  it('always replaces it, also what has the same length, and nothing else goes away', async () => {
    const { job, made } = await backedUp({ ...backup, 'two\nlines': 'two' });
    const folder = await holding(server, there);
    const { result } = await restoreInto(platform, job, made, to(server, folder), { overwrite: 'always' });
    expect(result).toMatchObject({ file_count: 4, actions: { create: 3, overwrite: 2, skip: 2 } });
    expect(await filesBelow(folder)).toEqual({ kept: 'kept', ...backup, [odd]: 'two' });
  });

  it('rename puts it beside, once however many attempts there are', async () => {
    const { job, made } = await backedUp({ ...backup, 'two\nlines': 'two' });
    const folder = await holding(server, there);
    const how = { overwrite: 'rename', runId: newId() } as const;
    const { result } = await restoreInto(platform, job, made, to(server, folder), how);
    expect(result.actions).toEqual({ create: 3, rename: 2, skip: 2 });
    const files = await filesBelow(folder);
    expect(files).toMatchObject(there);
    expect(Object.keys(files)).toHaveLength(7);
    const second = await restoreInto(platform, job, made, to(server, folder), { ...how, attempt: 2 });
    expect(second.result.actions).toEqual({ skip: 7 });
    expect(await filesBelow(folder)).toEqual(files);
  });

  it('a dry run foretells it and changes nothing', async () => {
    const { job, made } = await backedUp({ ...backup, 'two\nlines': 'two' });
    const folder = await holding(server, there);
    const target = to(server, folder);
    const { result } = await restoreInto(platform, job, made, target, { overwrite: 'always', dryRun: true });
    expect(result.actions).toEqual({ create: 3, overwrite: 2, skip: 2 });
    expect(await filesBelow(folder)).toEqual(there);
  });
});

describe('a restore to smb', () => {
  it('keeps times, by which if_newer judges, and sees a name that differs in case alone', async () => {
    const { path, job, made } = await backedUp({ older: 'from the backup', newer: 'from the backup', Case: 'other' });
    const folder = await holding('smb', { older: 'there', newer: 'there', case: 'there' });
    await utimes(join(folder, 'older'), 1_000_000_000, 1_000_000_000);
    const later = Date.now() / 1000 + 3600;
    for (const name of ['newer', 'case']) await utimes(join(folder, name), later, later);
    const { result } = await restoreInto(platform, job, made, to('smb', folder), { overwrite: 'if_newer' });
    expect(result.actions).toEqual({ overwrite: 1, skip: 3 });
    expect(await filesBelow(folder)).toEqual({ older: 'from the backup', newer: 'there', case: 'there' });
    const [from, restored] = await Promise.all([stat(join(path, 'older')), stat(join(folder, 'older'))]);
    expect(Math.floor(restored.mtimeMs / 1000)).toBe(Math.floor(from.mtimeMs / 1000));
  });

  it('that is denied everything fails', async () => {
    const { job, made } = await backedUp({ a: 'a', 'sub/b': 'b' });
    const folder = await mkdtemp(join(samba.dataDir, 'denied-'));
    const restoring = () => restoreInto(platform, job, made, to('smb', folder));
    await expect(restoring()).rejects.toMatchObject({ code: 'RESTORE_TARGET_INVALID' });
    await chmod(folder, 0o755);
    await expect(restoring()).rejects.toMatchObject({ code: 'RESTORE_FAILED' });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a restore to webdav', () => {
  it.each(['never', 'rename'] as const)(
    'whose attempt was killed leaves nothing half-written (%s)',
    async (overwrite) => {
      const proxy = await startTcpProxy(webdav.port);
      try {
        const content = randomBytes(24 * mebibyte);
        const { job, made } = await backedUp({ 'large.bin': content });
        const folder = await holding('webdav', {});
        const how = { overwrite, runId: newId() };
        proxy.setLatencyMs(20);
        const first = restoreInto(platform, job, made, to('webdav', folder, proxy.port), how);
        const ended = first.catch((error: unknown) => error);
        await until('something', async () => (await sizesIn(folder)).some((bytes) => bytes > mebibyte));
        proxy.stall();
        killRclone();
        expect(await ended).toMatchObject({ code: 'SYNC_FAILED', retryable: true });
        expect(await readdir(folder)).not.toContain('large.bin');
        proxy.resume();
        proxy.setLatencyMs(0);
        const second = await restoreInto(platform, job, made, to('webdav', folder, proxy.port), { ...how, attempt: 2 });
        expect(second.result).toMatchObject({ file_count: 1, actions: { create: 1, skip: 1 } });
        expect((await readFile(join(folder, 'large.bin'))).equals(content)).toBe(true);
        expect(await readdir(folder)).toEqual(['large.bin']);
      } finally {
        await proxy.close();
      }
    },
  );

  it('whose connection breaks goes on over another', async () => {
    const proxy = await startTcpProxy(webdav.port);
    try {
      const files = { a: 'a', 'large.bin': randomBytes(24 * mebibyte) };
      const { path, job, made } = await backedUp(files);
      const folder = await holding('webdav', {});
      proxy.setLatencyMs(20);
      const restoring = restoreInto(platform, job, made, to('webdav', folder, proxy.port));
      const cut = until('something', async () => (await sizesIn(folder)).some((bytes) => bytes > mebibyte));
      await cut.then(proxy.cut);
      expect((await restoring).result).toMatchObject({ file_count: 2, actions: { create: 2, skip: 1 } });
      expect(await filesBelow(folder)).toEqual(await filesBelow(path));
    } finally {
      await proxy.close();
    }
  });

  it('that is not there is told as that', async () => {
    const { job, made } = await backedUp({ a: 'a' });
    const away = overWebdav(webdav, { url: `http://127.0.0.1:${await freePort()}/` });
    await expect(restoreInto(platform, job, made, away)).rejects.toMatchObject({ code: 'SOURCE_CONNECTION_REFUSED' });
  });

  it('into a place whose names are closed to it tells of those alone', async () => {
    const { job, made } = await backedUp({ 'taken/b': 'b', c: 'c' });
    const folder = await holding('webdav', {});
    await writeFile(join(folder, 'taken'), 'a file');
    const { result, told } = await restoreInto(platform, job, made, to('webdav', folder));
    expect(result).toMatchObject({ file_count: 1, actions: { create: 1, fail: 2, skip: 1 } });
    expect(told.events).toContainEqual(
      expect.objectContaining({ code: 'ITEM_NOT_RESTORED', params: { item: 'taken' } }),
    );
    expect(await filesBelow(folder)).toEqual({ taken: 'a file', c: 'c' });
  });
});

async function sizesIn(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return Promise.all(names.map(async (name) => (await stat(join(folder, name)).catch(() => ({ size: 0 }))).size));
}
