import { chmod, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import type { OverwritePolicy } from '@xvault/shared/restore-targets.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { crypt, folderOf, jobOf, local, restoreTo } from './sync-places.test-kit.ts';
import { filesBelow, restoreInto } from './sync-restore.test-kit.ts';

let platform: SyncPlatform;
beforeAll(async () => {
  platform = await makeSyncPlatform();
});
afterAll(() => platform.remove());

async function backedUp(files: Record<string, string | Buffer>) {
  const path = await folderOf(platform, files);
  const job = jobOf(local(path));
  return { path, job, made: await platform.backup(job) };
}

describe('a restore to where something is', () => {
  it('policy rename puts it beside, once however many attempts there are, and nothing that was there changes', async () => {
    const { job, made } = await backedUp({ 'a.txt': 'old', 'b.txt': 'b' });
    const target = await folderOf(platform, { 'a.txt': 'another' });
    const how = { overwrite: 'rename', runId: newId() } as const;
    const { result, told } = await restoreInto(platform, job, made, local(target), how);
    expect(result.actions).toEqual({ create: 1, rename: 1, skip: 1 });
    expect(told.events.map(({ code }) => code)).toEqual(['ITEM_RENAMED', 'RESTORE_DONE']);
    const names = (await readdir(target)).sort();
    expect(names).toHaveLength(3);
    expect(await readFile(join(target, 'a.txt'), 'utf8')).toBe('another');
    const beside = names.find((name) => name.startsWith('a (restored')) ?? '';
    expect(await readFile(join(target, beside), 'utf8')).toBe('old');

    const second = await restoreInto(platform, job, made, local(target), { ...how, attempt: 2 });
    expect(second.result.actions).toEqual({ skip: 3 });
    expect((await readdir(target)).sort()).toEqual(names);
  });

  it('always replaces files, and leaves the rights of directories that are there as they are', async () => {
    const { job, made } = await backedUp({ 'private/a': 'a' });
    const target = await folderOf(platform, { 'private/a': 'another' });
    await chmod(join(target, 'private'), 0o700);
    await restoreInto(platform, job, made, local(target), { overwrite: 'always' });
    expect((await stat(join(target, 'private'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(target, 'private/a'))).mode & 0o777).toBe(0o644);
    expect(await filesBelow(target)).toEqual({ 'private/a': 'a' });
  });

  it('if_newer replaces what is older alone', async () => {
    const { path, job, made } = await backedUp({ older: 'from the backup', newer: 'from the backup' });
    const target = await folderOf(platform, { older: 'there', newer: 'there' });
    await utimes(join(target, 'older'), 1, 1);
    const later = Date.now() / 1000 + 3600;
    await utimes(join(target, 'newer'), later, later);
    const { result } = await restoreInto(platform, job, made, local(target), { overwrite: 'if_newer' });
    expect(result.actions).toEqual({ overwrite: 1, skip: 2 });
    expect(await filesBelow(target)).toEqual({ older: 'from the backup', newer: 'there' });
    const [from, to] = await Promise.all([stat(join(path, 'older')), stat(join(target, 'older'))]);
    expect(Math.abs(from.mtimeMs - to.mtimeMs)).toBeLessThan(1);
  });
});

describe('a restore cannot be led out of its target', () => {
  const policies: OverwritePolicy[] = ['never', 'if_newer', 'always', 'rename'];
  it.each(policies)('by a symlink in place of a directory or a file (%s)', async (overwrite) => {
    const { job, made } = await backedUp({ 'docs/a': 'from the backup', b: 'from the backup', c: 'c' });
    const target = await folderOf(platform, {});
    const outside = await folderOf(platform, { a: 'precious', b: 'precious' });
    await symlink(outside, join(target, 'docs'));
    await symlink(join(outside, 'b'), join(target, 'b'));
    const { told } = await restoreInto(platform, job, made, local(target), { overwrite });
    expect(await filesBelow(outside)).toEqual({ a: 'precious', b: 'precious' });
    expect(await readFile(join(target, 'c'), 'utf8')).toBe('c');
    const items = told.events.filter(({ code }) => code === 'ITEM_NOT_RESTORED').map(({ params }) => params?.item);
    expect(items).toEqual(overwrite === 'rename' ? [] : ['docs']);
  });
});

describe('a restore to a directory', () => {
  it('takes an empty one or none, and no other', async () => {
    const { path, job, made } = await backedUp({ 'a.txt': 'new', 'sub/dir/b.txt': 'b', 'two\nlines': 'two' });
    const full = await folderOf(platform, { 'a.txt': 'old' });
    const into = (target: string) => restoreTo(platform, job, made, { target: { type: 'directory', path: target } });
    await expect(into(full)).rejects.toMatchObject({ code: 'RESTORE_TARGET_NOT_EMPTY' });
    expect(await filesBelow(full)).toEqual({ 'a.txt': 'old' });
    for (const target of [await folderOf(platform, {}), join(platform.root, 'none/yet')]) {
      expect((await into(target)).result).toMatchObject({ file_count: 3, actions: { create: 6 } });
      expect(await filesBelow(target)).toEqual(await filesBelow(path));
      for (const directory of ['.', 'sub/dir']) expect((await stat(join(target, directory))).mode & 0o777).toBe(0o755);
      expect((await stat(join(target, 'sub/dir/b.txt'))).mode & 0o777).toBe(0o644);
    }
  });

  it('publishes nothing where a stored object is damaged', async () => {
    for (const more of [{}, { crypt }]) {
      const path = await folderOf(platform, { 'a.txt': 'a', 'b.bin': Buffer.alloc(3_000_000, 'b') });
      const job = jobOf(local(path), undefined, more);
      const made = await platform.backup(job);
      await flipOneByte(join(platform.config.XVAULT_STORAGE_DIR, `tenants/tenant/sources/source/sync/${job.jobId}`));
      const target = join(platform.root, newId());
      await expect(
        restoreTo(platform, job, made, { target: { type: 'directory', path: target } }),
      ).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
      await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
    }
  });
});

/** In the middle of the largest file. */
async function flipOneByte(below: string): Promise<void> {
  const entries = await readdir(below, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map(async (file) => ({ file, bytes: (await stat(file)).size })));
  const largest = sizes.sort((a, b) => b.bytes - a.bytes)[0];
  if (largest === undefined) throw new Error('nothing is stored');
  const content = await readFile(largest.file);
  const at = Math.floor(content.length / 2);
  content[at] = (content[at] ?? 0) ^ 1;
  await writeFile(largest.file, content);
}
