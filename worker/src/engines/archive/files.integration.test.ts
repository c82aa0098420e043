import { type FileSearch, fileSearch } from '@xvault/shared/browse.ts';
import { type FileEntry, fileEntry } from '@xvault/shared/run-kinds.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenIndex, openIndex } from '../../artifact/artifact-reader.ts';
import { decodeIndexLine } from '../../artifact/index-line.ts';
import { BrowseCache } from './browse-cache.ts';
import { formatMtime, type ListFilesOptions, listFiles, toFileEntry } from './files.ts';
import { makeSnapshot, type TestFolder, testFolder } from './restore-test-kit.ts';

let folder: TestFolder;
let index: OpenIndex;
let cache: BrowseCache;
beforeAll(async () => {
  folder = await testFolder();
  const snapshot = await makeSnapshot(folder.path, [
    { path: '.', type: 'directory' },
    { path: 'a', type: 'directory', mode: 0o1777, mtimeNs: -1n },
    { path: 'b.txt', type: 'file', data: 'hello', mode: 0o4755, uid: 5, gid: 6 },
    { path: 'a/c', type: 'directory' },
    { path: 'a/c/deep', type: 'file', data: 'x', announcedBytes: 100 },
    { path: 'a/link', type: 'symlink', target: '/etc' },
    { path: 'ab', type: 'hardlink', target: 'b.txt' },
    { path: Buffer.from('z\xff', 'latin1'), type: 'file' },
  ]);
  const { storage, place, identity } = snapshot;
  index = await openIndex({ storage, place, identities: [identity] });
  cache = new BrowseCache();
});
afterAll(async () => {
  await index.close();
  await folder.remove();
});

async function list(path: string, recursive = false, offset = 0, limit = 1000, more: Partial<ListFilesOptions> = {}) {
  const { frames } = index;
  const signal = new AbortController().signal;
  const known = { frames, indexSha256: 'index', cache, search: null, signal };
  return await listFiles({ ...known, path, recursive, offset, limit, ...more });
}

async function search(what: Partial<FileSearch>, path = ''): Promise<string[]> {
  return paths(await list(path, false, 0, 1000, { search: fileSearch.parse(what) }));
}

function paths(page: { entries: FileEntry[] }): string[] {
  return page.entries.map((entry) => entry.path);
}

describe('listing files', () => {
  it('shows the direct children', async () => {
    expect(paths(await list(''))).toEqual(['a', 'b.txt', 'ab', 'z\\xff']);
    expect(paths(await list('a'))).toEqual(['a/c', 'a/link']);
    expect(paths(await list('a/'))).toEqual(['a/c', 'a/link']);
    expect(paths(await list('a/c/deep'))).toEqual(['a/c/deep']);
    expect(paths(await list('z\\xff'))).toEqual(['z\\xff']);
  });

  it('shows all below', async () => {
    expect(paths(await list('', true))).toEqual(['a', 'b.txt', 'a/c', 'a/c/deep', 'a/link', 'ab', 'z\\xff']);
    expect(paths(await list('a', true))).toEqual(['a/c', 'a/c/deep', 'a/link']);
  });

  it('goes on page by page, to the very end', async () => {
    for (const limit of [1, 2, 3, 4]) {
      const found: string[] = [];
      let offset: number | null = 0;
      while (offset !== null) {
        const page = await list('', false, offset, limit);
        expect(page.entries.length).toBeLessThanOrEqual(limit);
        found.push(...paths(page));
        offset = page.nextOffset;
      }
      expect(found).toEqual(['a', 'b.txt', 'ab', 'z\\xff']);
    }
    expect((await list('', false, 0, 4)).nextOffset).toBeNull();
  });

  it('is in the form of the API', async () => {
    const { entries } = await list('', true);
    for (const entry of entries) expect(fileEntry.parse(entry)).toEqual(entry);
    const byPath = new Map(entries.map((entry) => [entry.path, entry]));
    expect(byPath.get('b.txt')).toEqual({
      path: 'b.txt',
      type: 'file',
      size_bytes: 5,
      mode: '4755',
      uid: 5,
      gid: 6,
      mtime: '2023-11-14T22:13:20.123456789Z',
      link_target: null,
      sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    });
    expect(byPath.get('a')).toMatchObject({ type: 'directory', mode: '1777', mtime: '1969-12-31T23:59:59.999999999Z' });
    expect(byPath.get('a/c/deep')).toMatchObject({ size_bytes: 1 });
    expect(byPath.get('a/link')).toMatchObject({ type: 'symlink', link_target: '/etc', sha256: null });
    expect(byPath.get('ab')).toMatchObject({ type: 'hardlink', link_target: 'b.txt' });
  });

  it('tells what a bucket said of an object', () => {
    const common = {
      type: 'file',
      size: 1,
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: '1.000000000',
      offset: 0,
      data_offset: 512,
    };
    const attributes = { etag: '"ab"', 'meta:colour': 'blue' };
    const line = decodeIndexLine(JSON.stringify({ ...common, path: 'a', sha256: 'ab'.repeat(32), attributes }));
    if (line === undefined) throw new Error('a good line');
    expect(fileEntry.parse(toFileEntry(line)).attributes).toEqual(attributes);
  });

  it('searches all below a path; what is asked for must hold all at once', async () => {
    expect(await search({ text: 'DEEP' })).toEqual(['a/c/deep']);
    expect(await search({ text: '\\xFF' })).toEqual(['z\\xff']);
    expect(await search({ glob: '*.txt' })).toEqual(['b.txt']);
    expect(await search({ glob: 'a/**' })).toEqual(['a/c', 'a/c/deep', 'a/link']);
    expect(await search({ glob: 'c/' })).toEqual(['a/c']);
    expect(await search({ glob: 'deep/' })).toEqual([]);
    expect(await search({ min_size_bytes: 1 })).toEqual(['b.txt', 'a/c/deep']);
    expect(await search({ max_size_bytes: 1 })).toEqual(['a/c/deep', 'z\\xff']);
    expect(await search({ modified_before: '1970-01-01T00:00:00Z' })).toEqual(['a']);
    expect(await search({ modified_after: '2023-11-14T22:13:20.123456789Z', text: 'b' })).toEqual(['b.txt', 'ab']);
    expect(await search({ modified_after: '2023-11-14T22:13:20.123456790Z' })).toEqual([]);
    expect(await search({ text: 'e' }, 'a/c')).toEqual(['a/c/deep']);
    await expect(search({ text: 'e' }, 'nothing')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(search({ glob: '[a' })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('says NOT_FOUND for what the snapshot does not have', async () => {
    for (const path of ['nothing', 'a/nothing', '\\', 'b', 'b.txt/x']) {
      await expect(list(path)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
  });
});

it('writes times of any year', () => {
  expect(formatMtime(0n)).toBe('1970-01-01T00:00:00.000000000Z');
  expect(formatMtime(-1_000_000_001n)).toBe('1969-12-31T23:59:58.999999999Z');
  expect(formatMtime(2n ** 63n * 1000n)).toMatch(/^9999-12-31T23:59:59\./);
  expect(formatMtime(-(2n ** 63n) * 1000n)).toMatch(/^0000-01-01T00:00:00\./);
});
