import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, readlink, rename, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { OverwritePolicy } from '@xvault/shared/restore-targets.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pathToText } from '../../artifact/path-text.ts';
import { createLocalTarget } from '../../connectors/local/target.ts';
import type { TargetSession } from '../../connectors/target.ts';
import { artifactOrigin } from './restore-origin.ts';
import { type PlaceRestoreOptions, type PlaceRestoreResult, restoreToPlace } from './restore-place.ts';
import { makeSnapshot, type TestFolder, type TestSnapshot, type TreeEntry, testFolder } from './restore-test-kit.ts';

const big = randomBytes(3_000_000);
const ns = (seconds: number): bigint => BigInt(seconds) * 1_000_000_000n;
const tree: TreeEntry[] = [
  { path: '.', type: 'directory', mtimeNs: ns(1_600_000_000) },
  { path: 'dir', type: 'directory', mode: 0o550, mtimeNs: ns(1_500_000_000) },
  { path: 'dir/big', type: 'file', data: big, mode: 0o640 },
  { path: 'dir/deep', type: 'directory', mtimeNs: ns(1_400_000_000) },
  { path: 'dir/deep/note.txt', type: 'file', data: 'note', mtimeNs: ns(1_700_000_000) },
  { path: Buffer.from('latin\xe9', 'latin1'), type: 'file', data: 'bytes' },
  { path: 'link', type: 'symlink', target: '../elsewhere' },
  { path: 'other name', type: 'hardlink', target: 'dir/big' },
  { path: 'setuid', type: 'file', data: 's', mode: 0o4711 },
];

let folder: TestFolder;
let target: string;
let snapshot: TestSnapshot;
beforeEach(async () => {
  folder = await testFolder();
  target = join(folder.path, 'allowed', 'target');
  await mkdir(join(folder.path, 'allowed'));
  snapshot = await makeSnapshot(folder.path, tree);
});
afterEach(() => folder.remove());

interface Done extends PlaceRestoreResult {
  readonly failed: string[];
  readonly renamed: string[];
}

function connect(path = target): Promise<TargetSession> {
  const connector = createLocalTarget({ allowedRoots: [join(folder.path, 'allowed')] });
  return connector.connectTarget({ path }, {}, path, new AbortController().signal, { tag: 'run' });
}

async function restore(
  policy: OverwritePolicy,
  { paths = null, ...options }: Partial<PlaceRestoreOptions> & { paths?: string[] | null } = {},
): Promise<Done> {
  const reader = await snapshot.open();
  const failed: string[] = [];
  const names: string[] = [];
  try {
    const result = await restoreToPlace({
      origin: artifactOrigin(reader, paths),
      connect: () => connect(),
      policy,
      dryRun: false,
      runId: 'run-abcd',
      createdAtMs: Date.UTC(2026, 0, 1),
      isRetry: false,
      notesDir: join(folder.path, 'notes'),
      signal: new AbortController().signal,
      onFailed: (path) => failed.push(pathToText(path)),
      onRenamed: (_path, to) => names.push(pathToText(to)),
      ...options,
    });
    return { ...result, failed, renamed: names };
  } finally {
    await reader.close();
  }
}

const text = (path: string) => readFile(join(target, path), 'utf8');

async function everything(): Promise<string[]> {
  return (await readdir(join(folder.path, 'allowed'), { recursive: true })).sort();
}

describe('a restore into an empty place', () => {
  it('gives back contents, links, modes and times, those of directories last', async () => {
    const result = await restore('never');
    expect(result).toMatchObject({ fileCount: 5, actions: { create: 9 }, failed: [], changes: [] });
    expect((await readFile(join(target, 'dir/big'))).equals(big)).toBe(true);
    expect((await stat(join(target, 'other name'))).ino).toBe((await stat(join(target, 'dir/big'))).ino);
    expect(await readlink(join(target, 'link'))).toBe('../elsewhere');
    expect(await readFile(Buffer.from(`${target}/latin\xe9`, 'latin1'), 'utf8')).toBe('bytes');
    for (const entry of tree) {
      if (entry.type === 'hardlink' || typeof entry.path !== 'string') continue;
      const stats = await lstat(join(target, entry.path), { bigint: true });
      expect([entry.path, stats.mtimeNs / 10_000n]).toEqual([
        entry.path,
        (entry.mtimeNs ?? 1_700_000_000_123_456_789n) / 10_000n,
      ]);
      if (entry.type === 'symlink') continue;
      const mode = entry.mode === 0o4711 ? 0o711 : (entry.mode ?? (entry.type === 'directory' ? 0o755 : 0o644));
      expect([entry.path, Number(stats.mode) & 0o7777]).toEqual([entry.path, mode]);
    }
    expect((await readdir(target)).filter((name) => name.includes('.part'))).toEqual([]);
  });

  it('brings chosen paths and what they need, and leaves holes in files', async () => {
    const zeros = Buffer.alloc(40 * 1024 * 1024);
    snapshot = await makeSnapshot(join(folder.path, 'second'), [
      { path: '.', type: 'directory' },
      { path: 'first', type: 'file', data: 'shared' },
      { path: 'sparse', type: 'file', data: Buffer.concat([Buffer.from('head'), zeros]) },
      { path: 'z', type: 'directory' },
      { path: 'z/second', type: 'hardlink', target: 'first' },
      { path: 'z/third', type: 'hardlink', target: 'first' },
    ]);
    expect(await restore('never', { paths: ['z', 'sparse'] })).toMatchObject({ fileCount: 3, failed: [] });
    expect([await readdir(target), await text('z/second'), await text('z/third')]).toEqual([
      ['sparse', 'z'],
      'shared',
      'shared',
    ]);
    const sparse = await stat(join(target, 'sparse'));
    expect(sparse.size).toBe(zeros.length + 4);
    expect(sparse.blocks * 512).toBeLessThan(1024 * 1024);
  });

  it('leaves the holes that the snapshot knows of, and copies a file with holes', async () => {
    const sizeBytes = 50 * 1024 * 1024;
    const pieces = [[4096 * 3, Buffer.alloc(4096, 'x')] as const];
    snapshot = await makeSnapshot(join(folder.path, 'second'), [
      { path: '.', type: 'directory' },
      { path: 'holes', type: 'sparse', sizeBytes, pieces },
    ]);
    expect(await restore('never')).toMatchObject({ fileCount: 1, bytes: sizeBytes, failed: [] });
    const data = await readFile(join(target, 'holes'));
    expect([data.length, data.indexOf('x'), data.lastIndexOf('x')]).toEqual([sizeBytes, 4096 * 3, 4096 * 4 - 1]);
    expect((await stat(join(target, 'holes'))).blocks * 512).toBeLessThan(1024 * 1024);
  });

  it('copies hard links where the target knows none', async () => {
    const plain = async (): Promise<TargetSession> => {
      const real = await connect();
      return {
        abilities: { ...real.abilities, symlinks: false },
        writesInFlight: 1,
        stat: (path) => real.stat(path),
        makeDirectory: (path) => real.makeDirectory(path),
        writeFile: (entry, content, signal) => real.writeFile(entry, content, signal),
        makeSymlink: (entry) => real.makeSymlink(entry),
        finishDirectory: (entry) => real.finishDirectory(entry),
        close: () => real.close(),
      };
    };
    const result = await restore('never', { connect: plain });
    expect(result).toMatchObject({ actions: { create: 8, fail: 1 }, failed: ['link'] });
    expect((await readFile(join(target, 'other name'))).equals(big)).toBe(true);
    expect((await stat(join(target, 'other name'))).nlink).toBe(1);
  });
});

describe('a restore into a place that holds something', () => {
  const [older, newer] = [new Date('2015-01-01T00:00:00Z'), new Date('2030-01-01T00:00:00Z')];
  beforeEach(async () => {
    await mkdir(join(target, 'dir', 'deep'), { recursive: true });
    await writeFile(join(target, 'dir', 'deep', 'note.txt'), 'mine');
    await utimes(join(target, 'dir', 'deep', 'note.txt'), older, older);
    await writeFile(join(target, 'setuid'), 'mine');
    await utimes(join(target, 'setuid'), newer, newer);
    await writeFile(join(target, 'unrelated'), 'mine');
  });
  const both = async () => [await text('dir/deep/note.txt'), await text('setuid'), await text('unrelated')];

  it('never: leaves what is there, directories and their modes too', async () => {
    expect(await restore('never')).toMatchObject({ actions: { create: 4, skip: 5 }, failed: [] });
    expect(await both()).toEqual(['mine', 'mine', 'mine']);
    expect((await stat(join(target, 'dir'))).mode & 0o7777).not.toBe(0o550);
  });

  it('if_newer: replaces what is older', async () => {
    expect(await restore('if_newer')).toMatchObject({ actions: { create: 4, skip: 4, overwrite: 1 } });
    expect(await both()).toEqual(['note', 'mine', 'mine']);
    expect(await restore('if_newer')).toMatchObject({ fileCount: 0, actions: { skip: 9 } });
  });

  it('always: replaces, and nothing else goes away', async () => {
    expect(await restore('always')).toMatchObject({ actions: { create: 4, skip: 3, overwrite: 2 } });
    expect(await both()).toEqual(['note', 's', 'mine']);
    expect((await stat(join(target, 'dir'))).mode & 0o7777).toBe(0o550);
  });

  it('rename: puts it beside', async () => {
    const result = await restore('rename');
    expect(result).toMatchObject({ actions: { create: 4, skip: 3, rename: 2 } });
    expect(await both()).toEqual(['mine', 'mine', 'mine']);
    const name = 'note (restored 2026-01-01 00.00.00 abcd).txt';
    expect(result.renamed.sort()).toEqual([`dir/deep/${name}`, 'setuid (restored 2026-01-01 00.00.00 abcd)']);
    expect(await text(`dir/deep/${name}`)).toBe('note');
    // A later attempt of the same run does nothing twice.
    const names = await everything();
    expect(await restore('rename', { isRetry: true })).toMatchObject({ fileCount: 0, actions: { skip: 9 } });
    expect(await everything()).toEqual(names);
  });

  it.each(['never', 'if_newer', 'always', 'rename'] as const)(
    'a dry run of %s says what a real run does, and changes nothing',
    async (policy) => {
      const before = await everything();
      const dry = await restore(policy, { dryRun: true });
      expect(await everything()).toEqual(before);
      expect(await both()).toEqual(['mine', 'mine', 'mine']);
      const real = await restore(policy);
      expect([real.actions, real.fileCount, real.bytes]).toEqual([dry.actions, dry.fileCount, dry.bytes]);
      const { skip = 0, ...others } = dry.actions;
      expect(dry.changes).toHaveLength(Object.values(others).reduce((sum, count) => sum + count, 0));
      expect(dry.changes.map(({ path }) => path)).toContain('link');
    },
  );

  it('a dry run into a place that is not there does not make it', async () => {
    await rename(target, `${target}-away`);
    expect(await restore('always', { dryRun: true })).toMatchObject({ actions: { create: 9 } });
    expect(await readdir(join(folder.path, 'allowed'))).toEqual(['target-away']);
  });

  it('what stands in the way of a directory is told, and keeps only what is below it from being restored', async () => {
    await rename(join(target, 'dir'), join(target, 'away'));
    await writeFile(join(target, 'dir'), 'a file');
    expect(await restore('always')).toMatchObject({
      actions: { create: 3, skip: 1, overwrite: 1, fail: 4 },
      failed: ['dir'],
    });
    expect(await text('dir')).toBe('a file');
    expect((await readFile(join(target, 'other name'))).equals(big)).toBe(true);
    expect(await restore('rename')).toMatchObject({ failed: [] });
    const beside = 'dir (restored 2026-01-01 00.00.00 abcd)';
    expect(await text(`${beside}/deep/note.txt`)).toBe('note');
    expect((await stat(join(target, beside))).mode & 0o7777).toBe(0o550);
  });
});

describe('a restore cannot be led out of its target', () => {
  it.each(['always', 'rename', 'never', 'if_newer'] as const)(
    'by a symlink in place of a directory or a file (%s)',
    async (policy) => {
      const outside = join(folder.path, 'outside');
      await mkdir(join(outside, 'deep'), { recursive: true });
      await writeFile(join(outside, 'precious'), 'precious');
      await mkdir(target);
      await symlink(outside, join(target, 'dir'));
      await symlink(join(outside, 'precious'), join(target, 'setuid'));
      await restore(policy);
      expect(await readdir(outside)).toEqual(['deep', 'precious']);
      expect(await readdir(join(outside, 'deep'))).toEqual([]);
      expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('precious');
    },
  );

  it('by one that takes a directory’s place while it is being restored', async () => {
    const outside = join(folder.path, 'outside');
    await mkdir(outside);
    let swapped = false;
    const swapping = async (): Promise<TargetSession> => {
      const real = await connect();
      return {
        abilities: real.abilities,
        writesInFlight: 1,
        stat: (path) => real.stat(path),
        makeDirectory: async (path) => {
          await real.makeDirectory(path);
          if (path.toString() !== 'dir/deep') return;
          swapped = true;
          await rename(join(target, 'dir'), join(folder.path, 'allowed', 'moved'));
          await symlink(outside, join(target, 'dir'));
          // No directory that was opened before the swap may help.
          await real.close();
        },
        writeFile: (entry, content, signal) => real.writeFile(entry, content, signal),
        makeSymlink: (entry) => real.makeSymlink(entry),
        finishDirectory: (entry) => real.finishDirectory(entry),
        close: () => real.close(),
      };
    };
    const { failed } = await restore('always', { connect: swapping });
    expect(swapped).toBe(true);
    expect(failed).toContain('dir/big');
    expect(await readdir(outside)).toEqual([]);
  });

  it('by a target outside of what is allowed, also through a symlink', async () => {
    const outside = join(folder.path, 'outside');
    await mkdir(outside);
    await symlink(outside, join(folder.path, 'allowed', 'way out'));
    for (const path of [outside, join(folder.path, 'allowed', 'way out', 'x'), join(folder.path, 'allowed-not')]) {
      await expect(restore('always', { connect: () => connect(path) })).rejects.toMatchObject({
        code: 'PATH_NOT_ALLOWED',
      });
    }
    expect(await readdir(outside)).toEqual([]);
  });
});

describe('a restore that is interrupted', () => {
  /** A target whose connection breaks, or whose process ends, after some files. */
  function breaking(afterFiles: number, error: () => Error, once = true): () => Promise<TargetSession> {
    let files = 0;
    let broken = false;
    return async () => {
      const real = await connect();
      return {
        abilities: real.abilities,
        writesInFlight: 2,
        stat: (path) => real.stat(path),
        makeDirectory: (path) => real.makeDirectory(path),
        async writeFile(entry, content, signal) {
          files += 1;
          if (files > afterFiles && !(once && broken)) {
            // As far as a broken one gets.
            for await (const _ of content) break;
            broken = true;
            throw error();
          }
          await real.writeFile(entry, content, signal);
        },
        makeSymlink: (entry) => real.makeSymlink(entry),
        finishDirectory: (entry) => real.finishDirectory(entry),
        close: () => real.close(),
      };
    };
  }

  it('goes on over a new connection', async () => {
    const result = await restore('never', { connect: breaking(0, () => new XVaultError('SOURCE_LOST')) });
    expect(result).toMatchObject({ actions: { create: 9 }, failed: [] });
    expect((await readFile(join(target, 'dir/big'))).equals(big)).toBe(true);
    expect((await readFile(join(target, 'other name'))).equals(big)).toBe(true);
  });

  it('is taken up by the next attempt, which gives its directories their modes and writes nothing twice', async () => {
    const dies = breaking(2, () => new Error('killed'), false);
    await expect(restore('rename', { connect: dies })).rejects.toThrow('killed');
    const before = await readdir(target, { recursive: true });
    expect(before).toContain('dir');
    const result = await restore('rename', { isRetry: true });
    expect(result.renamed).toEqual([]);
    expect(result.actions.skip).toBeGreaterThan(0);
    expect((await stat(join(target, 'dir'))).mode & 0o7777).toBe(0o550);
    expect((await lstat(join(target, 'dir'), { bigint: true })).mtimeNs).toBe(ns(1_500_000_000));
    expect((await readFile(join(target, 'dir/big'))).equals(big)).toBe(true);
    const names = (await everything()).filter((name) => /restored|part/.test(name));
    expect(names).toEqual([]);
    expect(await readdir(join(folder.path, 'notes'))).toEqual([]);
  });

  it('ends with the reason when it is cancelled, without a half file', async () => {
    const stop = new AbortController();
    const reason = new Error('cancelled');
    const cancelled = restore('always', { signal: stop.signal, onProgress: () => stop.abort(reason) });
    await expect(cancelled).rejects.toBe(reason);
    for (const name of await everything()) expect(name).not.toMatch(/\.part$/);
  });

  it('fails when the snapshot is damaged, without the damaged file', async () => {
    const artifact = join(snapshot.directory, 'backup.tar.zst.enc');
    const bytes = await readFile(artifact);
    bytes.writeUInt8(bytes.readUInt8(1_000_000) ^ 1, 1_000_000);
    await writeFile(artifact, bytes);
    await expect(restore('always')).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
    expect(await readdir(join(target, 'dir'))).not.toContain('big');
  });
});
