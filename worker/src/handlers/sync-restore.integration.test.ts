import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { folderOf, jobOf, local, restoreTo } from './sync-places.test-kit.ts';

let platform: SyncPlatform;
beforeAll(async () => {
  platform = await makeSyncPlatform();
});
afterAll(() => platform.remove());

describe('a restore to where something is', () => {
  it('policy rename puts it beside, and nothing that was there changes', async () => {
    const path = await folderOf(platform, { 'a.txt': 'old', 'b.txt': 'b' });
    const job = jobOf(local(path));
    const made = await platform.backup(job);
    const target = await folderOf(platform, { 'a.txt': 'another' });
    const { connection: source } = local(target);
    const { result } = await restoreTo(platform, job, made, {
      target: { type: 'source', source_id: 'source', source, overwrite: 'rename', path: null },
    });
    expect(result.actions).toEqual({ create: 1, rename: 1 });
    const names = (await readdir(target)).sort();
    expect(names).toHaveLength(3);
    expect(await readFile(join(target, 'a.txt'), 'utf8')).toBe('another');
    const beside = names.find((name) => name.startsWith('a (restored')) ?? '';
    expect(await readFile(join(target, beside), 'utf8')).toBe('old');
  });
});
