import { fileSearch } from '@xvault/shared/browse.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenIndex, openIndex } from '../../artifact/artifact-reader.ts';
import { BrowseCache } from './browse-cache.ts';
import { type FilePage, listFiles } from './files.ts';
import { makeSnapshot, type TestFolder, type TestSnapshot, type TreeEntry, testFolder } from './restore-test-kit.ts';

const never = new AbortController().signal;
let folder: TestFolder;
beforeAll(async () => {
  folder = await testFolder();
});
afterAll(() => folder.remove());

interface Ask {
  readonly path?: string;
  readonly recursive?: boolean;
  readonly text?: string;
  readonly limit?: number;
  readonly patienceMs?: number;
}

async function openSnapshotIndex({ storage, place, identity }: TestSnapshot): Promise<OpenIndex> {
  return await openIndex({ storage, place, identities: [identity] });
}

function page(index: OpenIndex, cache: BrowseCache, offset: number, ask: Ask): Promise<FilePage> {
  const { path = '', recursive = false, text, limit = 100, patienceMs = 1e9 } = ask;
  const search = text === undefined ? null : fileSearch.parse({ text });
  const { frames } = index;
  const known = { frames, indexSha256: 'i', cache, signal: never, patienceMs };
  return listFiles({ ...known, path, recursive, search, offset, limit });
}

async function all(index: OpenIndex, cache: BrowseCache, ask: Ask): Promise<string[]> {
  const found: string[] = [];
  for (let offset: number | null = 0; offset !== null; ) {
    const { entries, nextOffset } = await page(index, cache, offset, ask);
    found.push(...entries.map((entry) => entry.path));
    offset = nextOffset;
  }
  return found;
}

/** A tree of directories and files, its entries in any order that a source may have. */
const trees = fc
  .uniqueArray(fc.array(fc.constantFrom('a', 'b', 'ab', 'c"d', 'é', 'x\\y'), { minLength: 1, maxLength: 4 }), {
    selector: (names) => names.join('/'),
    maxLength: 40,
  })
  .chain((paths) => fc.shuffledSubarray(paths, { minLength: paths.length }))
  .map((paths) => {
    const kinds = new Map<string, 'directory' | 'file'>();
    for (const names of paths) {
      for (let depth = 1; depth < names.length; depth += 1) kinds.set(names.slice(0, depth).join('/'), 'directory');
      const path = names.join('/');
      kinds.set(path, kinds.get(path) ?? 'file');
    }
    // Parents first, as in every tar; otherwise as it comes.
    return [...kinds].sort(([a], [b]) => (b.startsWith(`${a}/`) ? -1 : a.startsWith(`${b}/`) ? 1 : 0));
  });

const textOf = (path: string) => path.replaceAll('\\', '\\\\');

describe('browsing', () => {
  it('gives the same pages in any order of questions, whatever the order of the index', async () => {
    let number = 0;
    await fc.assert(
      fc.asyncProperty(trees, fc.integer({ min: 1, max: 5 }), fc.integer(), async (tree, limit, seed) => {
        number += 1;
        const own = await makeSnapshot(
          `${folder.path}/${number}`,
          [['.', 'directory'] as const, ...tree].map(([path, type]): TreeEntry => ({ path, type })),
        );
        const index = await openSnapshotIndex(own);
        try {
          const cache = new BrowseCache();
          const directories = ['', ...tree.filter(([, type]) => type === 'directory').map(([path]) => path)];
          const asks = directories.flatMap((path) => [{ path }, { path, recursive: true }, { path, text: 'B' }]);
          const shuffled = asks.toSorted(
            (a, b) => ((JSON.stringify(a).length * seed) % 7) - ((JSON.stringify(b).length * seed) % 7),
          );
          for (const ask of shuffled) {
            const expected = tree
              .map(([path]) => path)
              .filter((path) => {
                if (ask.path !== '' && !path.startsWith(`${ask.path}/`)) return false;
                if ('text' in ask) return path.toLowerCase().includes('b');
                const rest = path.slice(ask.path === '' ? 0 : ask.path.length + 1);
                return 'recursive' in ask || !rest.includes('/');
              });
            const asked = { ...ask, path: textOf(ask.path), limit };
            expect(await all(index, cache, asked)).toEqual(expected.map(textOf));
            // A worker that never saw the index gives the same.
            expect(await all(index, new BrowseCache(), asked)).toEqual(expected.map(textOf));
          }
        } finally {
          await index.close();
        }
      }),
      { numRuns: 25, seed: 20261121 },
    );
  });

  it('goes on at a cursor that another worker gave, in the middle of a large directory', async () => {
    const entries: TreeEntry[] = [{ path: '.', type: 'directory' }];
    for (let at = 0; at < 9000; at += 1) entries.push({ path: `file ${String(at).padStart(5, '0')}`, type: 'file' });
    const index = await openSnapshotIndex(await makeSnapshot(`${folder.path}/large`, entries));
    try {
      const fresh = await page(index, new BrowseCache(), 8501, { limit: 3 });
      expect(fresh.entries.map(({ path }) => path)).toEqual(['file 08500', 'file 08501', 'file 08502']);
      expect(fresh.nextOffset).toBe(8504);
      const cache = new BrowseCache();
      await page(index, cache, 0, { limit: 1 });
      expect(await page(index, cache, 8501, { limit: 3 })).toEqual(fresh);
      expect(await page(index, cache, 8501, { limit: 3 })).toEqual(fresh);
      expect((await page(index, cache, 9001, { limit: 3 })).entries).toEqual([]);
    } finally {
      await index.close();
    }
  });

  it('ends a page early when it takes long, and goes on there', async () => {
    const entries: TreeEntry[] = [{ path: '.', type: 'directory' }];
    for (let folder = 0; folder < 5; folder += 1) {
      entries.push({ path: `folder ${folder}`, type: 'directory' });
      for (let at = 0; at < 1500; at += 1) entries.push({ path: `folder ${folder}/${at}`, type: 'file' });
    }
    const index = await openSnapshotIndex(await makeSnapshot(`${folder.path}/patience`, entries));
    try {
      const cache = new BrowseCache();
      const first = await page(index, cache, 0, { patienceMs: 0 });
      expect(first.entries.map(({ path }) => path)).toEqual(['folder 0']);
      expect(first.nextOffset).toBeGreaterThan(1000);
      expect(first.nextOffset).toBeLessThan(1502);
      const folders = [0, 1, 2, 3, 4].map((number) => `folder ${number}`);
      expect(await all(index, cache, { patienceMs: 0 })).toEqual(folders);
      expect(await all(index, new BrowseCache(), { patienceMs: 0 })).toEqual(folders);
      expect(await all(index, cache, { patienceMs: 0, text: 'folder 4/1499' })).toEqual(['folder 4/1499']);
      expect((await page(index, cache, 0, {})).entries).toHaveLength(5);
    } finally {
      await index.close();
    }
  });

  it('keeps no more than it may, and nothing of the names', async () => {
    const tree: TreeEntry[] = [{ path: '.', type: 'directory' }];
    for (let at = 0; at < 3000; at += 1)
      tree.push({ path: `secret-${at}`, type: 'directory' }, { path: `secret-${at}/f`, type: 'file' });
    const index = await openSnapshotIndex(await makeSnapshot(`${folder.path}/many`, tree));
    try {
      const cache = new BrowseCache(1);
      expect((await all(index, cache, { limit: 1000 })).length).toBe(3000);
      expect(cache.byteLength).toBe(0);
      const roomy = new BrowseCache();
      expect((await all(index, roomy, { limit: 1000 })).length).toBe(3000);
      expect(roomy.byteLength).toBeGreaterThan(6000 * 20);
      expect(roomy.byteLength).toBeLessThan(6000 * 64);
    } finally {
      await index.close();
    }
  });

  it('stops at the signal, with its reason', async () => {
    const index = await openSnapshotIndex(
      await makeSnapshot(`${folder.path}/stop`, [
        { path: '.', type: 'directory' },
        { path: 'a', type: 'file' },
      ]),
    );
    const reason = new Error('cancelled');
    try {
      const options = { frames: index.frames, indexSha256: 'i', cache: new BrowseCache(), path: '', recursive: true };
      const asked = listFiles({ ...options, search: null, offset: 0, limit: 1, signal: AbortSignal.abort(reason) });
      await expect(asked).rejects.toBe(reason);
    } finally {
      await index.close();
    }
  });
});
