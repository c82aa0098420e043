import { cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Version } from './layout.ts';
import { makeSyncRunner, type SyncRunner } from './sync.test-kit.ts';

describe.each([{ encrypted: false }, { encrypted: true }])(
  'versions of a sync, encrypted: $encrypted',
  ({ encrypted }) => {
    let runner: SyncRunner;
    beforeEach(async () => {
      runner = await makeSyncRunner(encrypted);
    });
    afterEach(() => runner.remove());

    async function put(path: string, content: string): Promise<void> {
      const file = join(runner.source, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
    }

    /** What the source holds now, to compare a restored version with. */
    async function keepCopy(name: string): Promise<string> {
      const copy = join(runner.root, name);
      await cp(runner.source, copy, { recursive: true, preserveTimestamps: true });
      return copy;
    }

    /** Six states of the source with changes, removals, renames, things that come back, and names that are awkward. */
    const states: readonly (() => Promise<void>)[] = [
      async () => {
        for (let i = 0; i < 12; i += 1) await put(`docs/file ${i}.txt`, `first ${i}`);
        await put('docs/it’s [odd] {name}, #1;.txt', 'odd');
        await put('docs/two\nlines.txt', 'a name of two lines');
        await put(' leading space', 'x');
      },
      async () => {
        await put('docs/file 1.txt', 'second and longer');
        await put('docs/two\nlines.txt', 'changed, on two lines');
        await rm(join(runner.source, 'docs/file 2.txt'));
      },
      async () => {
        await rename(join(runner.source, 'docs/file 3.txt'), join(runner.source, 'docs/renamed.txt'));
        await put('docs/file 2.txt', 'back again, other');
        await put('docs/file 1.txt', 'third');
      },
      async () => undefined,
      async () => {
        await rm(join(runner.source, 'docs'), { recursive: true });
        await put('docs', 'a file where a directory was');
      },
      async () => {
        await rm(join(runner.source, 'docs'));
        await put('docs/file 1.txt', 'sixth');
        await put('docs/file 2.txt', 'sixth too');
      },
    ];

    async function runAll(): Promise<{ version: Version; copy: string }[]> {
      const made: { version: Version; copy: string }[] = [];
      for (const [index, change] of states.entries()) {
        await change();
        const { version, hasChanged, failed } = await runner.sync();
        expect({ hasChanged, failed }).toEqual({ hasChanged: index !== 3, failed: [] });
        made.push({ version, copy: await keepCopy(`state-${index}`) });
      }
      return made;
    }

    async function expectRestores(version: Version, copy: string, name: string): Promise<void> {
      const target = join(runner.root, name);
      await runner.restore(version, target);
      expect(await contentsOf(target)).toEqual(await contentsOf(copy));
    }

    it('every version of six runs restores byte for byte', async () => {
      for (const [index, { version, copy }] of (await runAll()).entries()) {
        await expectRestores(version, copy, `restored-${index}`);
        expect(await runner.validate(version, 'full')).toMatchObject({ differing: [] });
      }
    });

    it('forgetting some versions leaves the others whole, and none of what only the forgotten ones needed', async () => {
      const made = await runAll();
      const [first, second, third, fourth, fifth, sixth] = made as [
        { version: Version; copy: string },
        { version: Version; copy: string },
        { version: Version; copy: string },
        { version: Version; copy: string },
        { version: Version; copy: string },
        { version: Version; copy: string },
      ];
      const kept = [second, fifth, sixth];
      for (const gone of [first, third, fourth]) {
        const removed = await runner.retain(
          gone.version,
          made
            .filter((each) => each !== gone && (kept.includes(each) || each.version.number > gone.version.number))
            .map(({ version }) => version),
        );
        expect(removed.removedVersions).toBe(1);
      }
      for (const [index, { version, copy }] of kept.entries()) await expectRestores(version, copy, `kept-${index}`);
      await expect(runner.restore(first.version, join(runner.root, 'gone'))).rejects.toMatchObject({
        code: 'SYNC_VERSION_BROKEN',
      });
      for (const { version } of [second, fifth]) await runner.retain(version, [sixth.version]);
      await expectRestores(sixth.version, sixth.copy, 'last');
      expect(await filesBelow(join(runner.place))).toBe((await filesBelow(runner.source)) + 2);
    });

    it('restores chosen paths alone, and a dry run changes nothing', async () => {
      const [first] = await runAll();
      if (first === undefined) throw new Error('no version');
      const target = join(runner.root, 'some');
      const dry = await runner.restore(first.version, target, { paths: ['docs/file 1.txt'], dryRun: true });
      expect(dry.changes).toEqual([
        { path: '.', action: 'create', type: 'directory', size_bytes: 0 },
        { path: 'docs', action: 'create', type: 'directory', size_bytes: 0 },
        { path: 'docs/file 1.txt', action: 'create', type: 'file', size_bytes: 7 },
      ]);
      await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
      await runner.restore(first.version, target, { paths: ['docs/file 1.txt'] });
      expect(await readdir(join(target, 'docs'))).toEqual(['file 1.txt']);
      await expect(runner.restore(first.version, target, { paths: ['nothing'] })).rejects.toMatchObject({
        code: 'RESTORE_PATH_NOT_FOUND',
      });
    });
  },
);

/** Names and contents; empty directories are nothing to the engine. */
async function contentsOf(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = files.sort().map(async (file) => [file.slice(root.length), await readFile(file, 'utf8')] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

async function filesBelow(root: string): Promise<number> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}
