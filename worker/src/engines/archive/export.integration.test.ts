import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeOutcome, runChild, startChild } from '../../process/run-child.ts';
import { type OpenFormat as ExportFormat, type ExportResult, encryptedContents, exportSnapshot } from './export.ts';
import { writeExportFile } from './export-file.ts';
import { makeSnapshot, type TestFolder, type TestSnapshot, type TreeEntry, testFolder } from './restore-test-kit.ts';

const big = randomBytes(3_000_000);
const tree: TreeEntry[] = [
  { path: '.', type: 'directory', mtimeNs: 1_600_000_000_000_000_000n },
  { path: 'dir', type: 'directory', mode: 0o750, mtimeNs: 1_500_000_000_000_000_000n },
  { path: 'dir/big', type: 'file', data: big, mode: 0o640 },
  { path: 'dir/empty directory', type: 'directory' },
  { path: 'empty', type: 'file' },
  { path: 'naïve 🦊', type: 'file', data: 'fox', mtimeNs: 1_500_000_000_000_000_000n },
  { path: 'c:drive', type: 'file', data: 'colon' },
  { path: '100%', type: 'file', data: 'percent' },
  { path: 'back\\slash', type: 'file', data: 'backslash' },
  { path: Buffer.from('latin\xe9', 'latin1'), type: 'file', data: 'bytes' },
  { path: 'setuid', type: 'file', data: 's', mode: 0o4711 },
  { path: 'link', type: 'symlink', target: '../a\\b' },
  { path: 'other name', type: 'hardlink', target: 'dir/big' },
  { path: 'shrank', type: 'file', data: 'short', announcedBytes: 70_000 },
];

let folder: TestFolder;
let exportsDir: string;
beforeEach(async () => {
  folder = await testFolder();
  exportsDir = join(folder.path, 'exports');
});
afterEach(() => folder.remove());

interface Asked {
  readonly paths?: string[];
  readonly epoch?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: () => void;
}

async function exportTo(snapshot: TestSnapshot, format: ExportFormat, asked: Asked = {}): Promise<ExportResult> {
  const reader = await snapshot.open();
  try {
    return await exportSnapshot({
      reader,
      paths: asked.paths ?? null,
      format,
      exportsDir,
      exportId: 'export-1',
      snapshotId: 'snap',
      epoch: asked.epoch ?? 1,
      signal: asked.signal ?? new AbortController().signal,
      ...(asked.onProgress && { onProgress: asked.onProgress }),
    });
  } finally {
    await reader.close();
  }
}

async function run(file: string, args: string[], cwd: string): Promise<void> {
  const outcome = await runChild({ file, args, cwd, env: { LC_ALL: 'C.UTF-8' } });
  expect(describeOutcome(file, outcome)).toBe(`${file} ended with exit code 0`);
}

/** Unpacks with the system's own tools. */
async function unpack(name: string): Promise<string> {
  const target = join(folder.path, 'unpacked');
  await mkdir(target);
  const file = join(exportsDir, 'export-1', name);
  if (name.endsWith('.zip')) {
    await run('python3', ['-m', 'zipfile', '-t', file], target);
    await run('unzip', ['-q', '-K', file], target);
    return target;
  }
  const tar = startChild({ file: 'tar', args: ['-x', '-p', '-f', '-', '-C', target], stdin: 'pipe' });
  if (tar.stdin === null) throw new Error('tar has no stdin');
  await pipeline(createReadStream(file), name.endsWith('.gz') ? createGunzip() : createZstdDecompress(), tar.stdin);
  expect(await tar.outcome).toMatchObject({ succeeded: true });
  return target;
}

for (const format of ['tar.zst', 'tar.gz', 'zip'] as const) {
  describe(`an export as ${format}`, () => {
    it('is one private file whose checksum is reported', async () => {
      const result = await exportTo(await makeSnapshot(folder.path, tree), format);
      expect(result).toMatchObject({ fileName: `snapshot-snap.${format}`, fileCount: 9, bytes: 3_000_000 + 35 });
      const path = join(exportsDir, 'export-1', result.fileName);
      const data = await readFile(path);
      expect(result.sizeBytes).toBe(data.length);
      expect(result.sha256).toBe(createHash('sha256').update(data).digest('hex'));
      expect((await stat(path)).mode & 0o7777).toBe(0o600);
      expect((await stat(join(exportsDir, 'export-1'))).mode & 0o7777).toBe(0o700);
      expect(await readdir(join(exportsDir, 'export-1'))).toEqual([result.fileName]);
    });

    it('holds only what was chosen', async () => {
      const result = await exportTo(await makeSnapshot(folder.path, tree), format, { paths: ['other name', 'empty'] });
      expect(result).toMatchObject({ fileCount: 2, bytes: 3_000_000 });
      const target = await unpack(result.fileName);
      expect((await readdir(target)).sort()).toEqual(['empty', 'other name']);
      expect((await readFile(join(target, 'other name'))).equals(big)).toBe(true);
    });

    it('leaves nothing behind when the artifact is damaged or the run is cancelled', async () => {
      const snapshot = await makeSnapshot(folder.path, tree);
      const stop = new AbortController();
      const reason = new Error('cancelled');
      const cancelled = exportTo(snapshot, format, { signal: stop.signal, onProgress: () => stop.abort(reason) });
      await expect(cancelled).rejects.toBe(reason);
      expect(await readdir(exportsDir)).toEqual([]);
      const artifact = join(snapshot.directory, 'backup.tar.zst.enc');
      const bytes = await readFile(artifact);
      bytes.writeUInt8(bytes.readUInt8(1_000_000) ^ 1, 1_000_000);
      await writeFile(artifact, bytes);
      await expect(exportTo(snapshot, format)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
      expect(await readdir(exportsDir)).toEqual([]);
    });

    it('replaces what an earlier attempt left', async () => {
      const snapshot = await makeSnapshot(folder.path, tree);
      await exportTo(snapshot, format);
      const directory = join(exportsDir, 'export-1');
      await writeFile(join(directory, `snapshot-snap.${format}.part-1`), 'half');
      await exportTo(snapshot, format, { epoch: 2 });
      expect(await readdir(directory)).toEqual([`snapshot-snap.${format}`]);
    });
  });
}

it('a tar.zst gives all back', async () => {
  const { fileName } = await exportTo(await makeSnapshot(folder.path, tree), 'tar.zst');
  const target = await unpack(fileName);
  expect((await readFile(join(target, 'dir/big'))).equals(big)).toBe(true);
  expect((await stat(join(target, 'other name'))).ino).toBe((await stat(join(target, 'dir/big'))).ino);
  expect((await stat(join(target, 'dir'), { bigint: true })).mtimeNs).toBe(1_500_000_000_000_000_000n);
  expect(await readFile(join(target, 'back\\slash'), 'utf8')).toBe('backslash');
  expect(await readFile(Buffer.from(`${target}/latin\xe9`, 'latin1'), 'utf8')).toBe('bytes');
  expect(await readFile(join(target, 'shrank'), 'utf8')).toBe('short');
  expect(await readlink(join(target, 'link'))).toBe('../a\\b');
  expect((await readdir(target)).length).toBe(11);
});

it('a zip gives back what a zip can hold', async () => {
  const { fileName } = await exportTo(await makeSnapshot(folder.path, tree), 'zip');
  const target = await unpack(fileName);
  for (const path of ['dir/big', 'other name']) expect((await readFile(join(target, path))).equals(big)).toBe(true);
  const texts = { empty: '', 'naïve 🦊': 'fox', 'c:drive': 'colon', '100%': 'percent', 'back%5Cslash': 'backslash' };
  for (const [path, text] of Object.entries({ ...texts, 'latin%E9': 'bytes', shrank: 'short' })) {
    expect([path, await readFile(join(target, path), 'utf8')]).toEqual([path, text]);
  }
  expect((await lstat(join(target, 'dir'))).mode & 0o7777).toBe(0o750);
  expect((await lstat(join(target, 'dir/big'))).mode & 0o7777).toBe(0o640);
  expect((await lstat(join(target, 'setuid'))).mode & 0o7777).toBe(0o4711);
  expect((await lstat(join(target, 'dir/empty directory'))).isDirectory()).toBe(true);
  expect(await readlink(join(target, 'link'))).toBe('../a\\b');
  expect((await readdir(target)).length).toBe(11);
});

for (const format of ['tar.zst', 'tar.gz', 'zip'] as const) {
  it(`a file with holes comes out of a ${format} with the same content`, async () => {
    const sizeBytes = 30 * 1024 * 1024 + 5;
    const [first, last] = [randomBytes(4096), randomBytes(1024 * 1024 + 5)];
    const pieces = [[8192, first] as const, [sizeBytes - last.length, last] as const];
    const sparse: TreeEntry[] = [
      { path: '.', type: 'directory' },
      { path: 'before', type: 'file', data: 'before' },
      { path: 'holes', type: 'sparse', sizeBytes, pieces },
      { path: 'nothing but a hole', type: 'sparse', sizeBytes: 100_000, pieces: [[100_000, Buffer.alloc(0)]] },
      { path: 'other', type: 'hardlink', target: 'holes' },
    ];
    const { fileName } = await exportTo(await makeSnapshot(folder.path, sparse), format);
    const target = await unpack(fileName);
    const expected = Buffer.alloc(sizeBytes);
    for (const [offset, data] of pieces) data.copy(expected, offset);
    expect((await readFile(join(target, 'holes'))).equals(expected)).toBe(true);
    expect((await readFile(join(target, 'other'))).equals(expected)).toBe(true);
    expect((await readFile(join(target, 'nothing but a hole'))).equals(Buffer.alloc(100_000))).toBe(true);
    expect(await readFile(join(target, 'before'), 'utf8')).toBe('before');
    if (format !== 'zip') expect((await stat(join(target, 'holes'))).blocks * 512).toBeLessThan(2 * 1024 * 1024);
  });
}

it('the encrypted export is what is stored, and is not made of what is damaged', async () => {
  const { storage, place, ref, directory } = await makeSnapshot(folder.path, tree);
  const signal = new AbortController().signal;
  const make = () => {
    const contents = encryptedContents({ storage, place, ref, signal });
    const { fileName } = contents;
    return writeExportFile(contents.stream, { exportsDir, exportId: 'export-1', fileName, epoch: 1, signal });
  };
  await make();
  const target = join(folder.path, 'stored');
  await mkdir(target);
  await run('tar', ['-xf', join(exportsDir, 'export-1', 'snapshot-snap.encrypted.tar')], target);
  expect((await readdir(target)).sort()).toEqual(
    (await readdir(directory)).filter((name) => name !== 'meta.json').sort(),
  );
  for (const name of await readdir(target)) {
    expect((await readFile(join(target, name))).equals(await readFile(join(directory, name)))).toBe(true);
  }
  const index = join(directory, 'index.jsonl.zst.enc');
  const bytes = await readFile(index);
  bytes.writeUInt8(bytes.readUInt8(300) ^ 1, 300);
  await writeFile(index, bytes);
  await expect(make()).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  await writeFile(index, bytes.subarray(1));
  await expect(make()).rejects.toMatchObject({ code: 'ARTIFACT_TRUNCATED' });
});

it('takes nothing but ids into a path', async () => {
  const reader = await (await makeSnapshot(folder.path, tree.slice(0, 1))).open();
  const signal = new AbortController().signal;
  const common = { reader, paths: null, format: 'zip' as const, exportsDir, snapshotId: 'snap', epoch: 1, signal };
  await expect(exportSnapshot({ ...common, exportId: '../x' })).rejects.toMatchObject({ code: 'RESTORE_FAILED' });
  await reader.close();
});
