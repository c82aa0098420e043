import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFile,
  chmod,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import { describe, expect, test } from 'vitest';
import { ageCommandDecrypt, mixedBytes, runProgram } from '../../artifact/codec.test-kit.ts';
import { storedBytesOf } from '../../artifact/entry.ts';
import { manifestSchema, metaSchema } from '../../artifact/manifest.ts';
import { snapshotFiles } from '../../storage/storage.ts';
import { workbench } from './backup.test-kit.ts';

const MiB = 1024 * 1024;

test('a tree of everything comes back equal through age, zstd and tar', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  const { source } = bench;
  for (let at = 0; at < 300; at += 1) {
    const directory = join(source, `d${at % 7}`, `e${at % 3}`);
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, `f${at}`), mixedBytes(at * 37));
  }
  await mkdir(join(source, 'empty'));
  await writeFile(join(source, 'empty file'), '');
  await writeFile(join(source, 'large'), mixedBytes(6 * MiB + 123));
  await link(join(source, 'large'), join(source, 'large again'));
  await link(join(source, 'd0/e0/f0'), join(source, 'd6/f0 again'));
  await writeFile(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0x62, 0xff, 0x0a])]), 'not UTF-8');
  await writeFile(join(source, 'n'.repeat(255)), 'long name');
  await symlink('/nowhere/at/all', join(source, 'dangling'));
  await symlink('t'.repeat(400), join(source, 'long target'));
  await chmod(join(source, 'd1/e1/f1'), 0o4751);
  await utimes(join(source, 'd2/e2/f2'), -1000.25, -1000.25);

  const { snapshot, warningCount } = await bench.backup();

  expect([bench.warnings, warningCount]).toEqual([[], 0]);
  const stored = await readFile(join(bench.snapshot, snapshotFiles.artifact));
  const tar = await runProgram('zstd', ['-d', '-c'], await ageCommandDecrypt(stored, bench.identity));
  const out = join(bench.folder.path, 'out');
  await mkdir(out);
  const quiet = ['--warning=no-timestamp', '--warning=no-unknown-keyword'];
  await runProgram('tar', ['-x', '-p', ...quiet, '-f', '-', '-C', out], tar);
  const comparison = await compareTrees(source, out);
  expect(comparison.differences).toEqual([]);
  expect(comparison.entries).toBe(snapshot.entry_count - 1);
  expect(snapshot).toMatchObject({ tar_bytes: tar.length, artifact_bytes: stored.length });
  expect(await readdir(bench.snapshot)).toEqual(Object.values(snapshotFiles).sort());
});

test('files with holes come back with them by GNU tar, and take their data’s room only', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  const holes = async (name: string, size: number, ...pieces: readonly (readonly [number, Buffer])[]) => {
    const file = await open(join(bench.source, name), 'w');
    for (const [offset, data] of pieces) await file.write(data, 0, data.length, offset);
    await file.truncate(size);
    await file.close();
  };
  await holes('small', 300_000, [0, Buffer.from('begin')], [200_000, Buffer.from('x')]);
  await holes('nothing but a hole', 900_000);
  await holes('large', 200 * MiB, [8 * MiB, mixedBytes(5 * MiB)], [150 * MiB + 4096, mixedBytes(7 * MiB)]);
  await holes('hole first', 64 * MiB, [63 * MiB, mixedBytes(MiB)]);
  await mkdir(join(bench.source, 'n'.repeat(120)));
  await holes(join('n'.repeat(120), 'deep'), 2 * MiB, [MiB, Buffer.from('end')]);
  const { snapshot } = await bench.backup();
  expect(snapshot.tar_bytes).toBeLessThan(20 * MiB);
  const stored = await readFile(join(bench.snapshot, snapshotFiles.artifact));
  const tar = await runProgram('zstd', ['-d', '-c'], await ageCommandDecrypt(stored, bench.identity));
  const out = join(bench.folder.path, 'out');
  await mkdir(out);
  await runProgram('tar', ['-x', '-p', '--warning=no-timestamp', '-f', '-', '-C', out], tar);
  expect((await compareTrees(bench.source, out)).differences).toEqual([]);
  expect((await stat(join(out, 'large'))).blocks * 512).toBeLessThan(20 * MiB);
  const files = (await bench.entries()).filter((entry) => entry.type === 'file');
  expect(files.map((entry) => [entry.path.toString().slice(0, 20), entry.sizeBytes])).toEqual([
    ['hole first', 64 * MiB],
    ['large', 200 * MiB],
    ['n'.repeat(20), 2 * MiB],
    ['nothing but a hole', 900_000],
    ['small', 300_000],
  ]);
  for (const entry of files) {
    const content = await bench.content({ ...entry, sizeBytes: storedBytesOf(entry) });
    expect(entry.sparseBytes).toBe(content.length);
    expect(createHash('sha256').update(content).digest('hex')).toBe(entry.sha256);
  }
});

test('hard links among files that vanish point at what is there', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  // More than one frame, so that later names are planned before the first one is known to be lost.
  await writeFile(join(bench.source, 'a first'), mixedBytes(1000));
  await writeFile(join(bench.source, 'a other'), mixedBytes(1000));
  for (let at = 0; at < 12; at += 1) await writeFile(join(bench.source, `b${at}`), mixedBytes(MiB - 1));
  for (const name of ['c second', 'd third']) await link(join(bench.source, 'a first'), join(bench.source, name));
  for (const name of ['c other', 'd other']) await link(join(bench.source, 'a other'), join(bench.source, name));
  await bench.backup({ beforeRead: () => rm(join(bench.source, 'a first'), { force: true }) });
  expect(bench.warnings).toEqual(['ITEM_VANISHED a first']);
  const entries = await bench.entries();
  expect(
    entries
      .filter(({ path }) => /^[acd] /.test(path.toString()))
      .map((entry) => `${entry.type} ${entry.path} ${entry.linkTarget ?? ''}`),
  ).toEqual([
    'file a other ',
    'hardlink c other a other',
    'file c second ',
    'hardlink d other a other',
    'hardlink d third c second',
  ]);
});

test('a file that outgrew its frame is stored whole', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  const before = mixedBytes(1000);
  const after = mixedBytes(9 * MiB);
  for (const name of ['1', '2', '3']) await writeFile(join(bench.source, name), before);
  await bench.backup({ beforeRead: () => writeFile(join(bench.source, '2'), after) });
  const [, first, second, third] = await bench.entries();
  expect([first?.sizeBytes, second?.sizeBytes, third?.sizeBytes]).toEqual([1000, after.length, 1000]);
  expect((await bench.content(second)).equals(after)).toBe(true);
  expect((await bench.content(third)).equals(before)).toBe(true);
});

test('manifest and meta say what the result says, and no file’s name', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  await writeFile(join(bench.source, 'secret-name'), 'x');
  const { snapshot } = await bench.backup();
  const manifestText = await readFile(join(bench.snapshot, snapshotFiles.manifest), 'utf8');
  const metaText = await readFile(join(bench.snapshot, snapshotFiles.meta), 'utf8');
  const manifest = manifestSchema.parse(JSON.parse(manifestText));
  const meta = metaSchema.parse(JSON.parse(metaText));
  expect(manifest.artifact).toMatchObject({ size_bytes: snapshot.artifact_bytes, sha256: snapshot.artifact_sha256 });
  expect(manifest.index).toMatchObject({ size_bytes: snapshot.index_bytes, sha256: snapshot.index_sha256 });
  expect(meta).toMatchObject({ result: snapshot, epoch: 3, attempt: 2, worker_id: 'w', tenant_id: 't' });
  expect(manifestText + metaText).not.toContain('secret-name');
});

test('progress never goes back and is complete only at the end', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  for (let at = 0; at < 400; at += 1) await writeFile(join(bench.source, `f${at}`), mixedBytes(20_000));
  await writeFile(join(bench.source, 'large'), mixedBytes(8 * MiB));
  const { snapshot } = await bench.backup();
  const last = bench.reports.at(-1);
  expect(last).toMatchObject({ progress_pct: 100, eta_seconds: 0, objects_transferred: 401, current_item: null });
  expect(last?.bytes_transferred).toBe(snapshot.source_bytes);
  const before = bench.reports.slice(0, -1);
  expect(before.length).toBeGreaterThan(6);
  expect(before.every((report) => report.progress_pct === null || report.progress_pct < 100)).toBe(true);
  const grows = (values: number[]) => values.every((value, at) => value >= (values[at - 1] ?? 0));
  expect(grows(bench.reports.map((report) => report.bytes_transferred))).toBe(true);
  expect(grows(bench.reports.flatMap((report) => report.progress_pct ?? []))).toBe(true);
});

describe('while it is read', () => {
  const size = 5 * MiB;

  test('a file that grows is cut where it ended, with one warning', async () => {
    const bench = await workbench();
    await using _folder = bench.folder;
    const path = join(bench.source, 'f');
    const before = mixedBytes(size);
    await writeFile(path, before);
    await bench.backup({ whileReading: () => appendFile(path, mixedBytes(2 * MiB)) });
    const entry = (await bench.entries()).at(-1);
    expect(bench.warnings).toEqual(['ITEM_CHANGED f']);
    expect(entry).toMatchObject({ sizeBytes: size, paddingBytes: 0 });
    expect(before.equals(await bench.content(entry))).toBe(true);
  });

  test('a file that shrinks is filled with zeros, with one warning', async () => {
    const bench = await workbench();
    await using _folder = bench.folder;
    const path = join(bench.source, 'f');
    await writeFile(path, Buffer.alloc(40 * MiB, 'x'));
    await writeFile(join(bench.source, 'z'), 'after it');
    const { warningCount } = await bench.backup({ whileReading: () => truncate(path, 1000) });
    const [, entry, next] = await bench.entries();
    expect([bench.warnings, warningCount]).toEqual([['ITEM_CHANGED f'], 1]);
    expect(entry?.sizeBytes).toBe(40 * MiB);
    expect(entry?.paddingBytes).toBeGreaterThan(0);
    const content = await bench.content(entry);
    const padding = content.subarray(content.length - (entry?.paddingBytes ?? 0));
    expect(padding.equals(Buffer.alloc(padding.length))).toBe(true);
    expect((await bench.content(next)).toString()).toBe('after it');
  });

  test('files that vanish are left out, with a warning each', async () => {
    const bench = await workbench();
    await using _folder = bench.folder;
    await writeFile(join(bench.source, 'gone'), 'small');
    await writeFile(join(bench.source, 'gone large'), mixedBytes(size));
    await writeFile(join(bench.source, 'stays'), 'here');
    const remove = (name: string) => () => rm(join(bench.source, name), { force: true });
    await bench.backup({ beforeRead: remove('gone'), beforeOpen: remove('gone large') });
    expect(bench.warnings).toEqual(['ITEM_VANISHED gone', 'ITEM_VANISHED gone large']);
    expect((await bench.entries()).map((entry) => entry.path.toString())).toEqual(['.', 'stays']);
  });

  test('when the first name of a file vanishes, the next one holds the content', async () => {
    const bench = await workbench();
    await using _folder = bench.folder;
    for (const [name, bytes] of [
      ['small', 100],
      ['large', size],
    ] as const) {
      await writeFile(join(bench.source, `${name} 1`), mixedBytes(bytes));
      await link(join(bench.source, `${name} 1`), join(bench.source, `${name} 2`));
      await link(join(bench.source, `${name} 1`), join(bench.source, `${name} 3`));
    }
    const remove = (name: string) => () => rm(join(bench.source, name), { force: true });
    await bench.backup({ beforeRead: remove('small 1'), beforeOpen: remove('large 1') });
    const entries = await bench.entries();
    expect(entries.map((entry) => `${entry.type} ${entry.path} ${entry.linkTarget ?? ''}`)).toEqual([
      'directory . ',
      'file large 2 ',
      'hardlink large 3 large 2',
      'file small 2 ',
      'hardlink small 3 small 2',
    ]);
    expect(bench.warnings.sort()).toEqual(['ITEM_VANISHED large 1', 'ITEM_VANISHED small 1']);
  });
});

test('pipes are left out with a warning', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  execFileSync('mkfifo', [join(bench.source, 'pipe')]);
  await bench.backup();
  expect(bench.warnings).toEqual(['ITEM_UNSUPPORTED pipe']);
});

describe('nothing is published and nothing is left', () => {
  test('when it is aborted in the middle of a file', async () => {
    const bench = await workbench();
    await using _folder = bench.folder;
    await writeFile(join(bench.source, 'f'), mixedBytes(20 * MiB));
    const stop = new AbortController();
    const whileReading = async () => stop.abort(new Error('cancelled by a person'));
    await expect(bench.backup({ whileReading }, stop.signal)).rejects.toThrow('cancelled by a person');
    expect(await filesBelow(bench.root)).toEqual([]);
  });

  test('when the source is lost', async () => {
    const bench = await workbench();
    await using _folder = bench.folder;
    for (let at = 0; at < 500; at += 1) await writeFile(join(bench.source, `f${at}`), mixedBytes(50_000));
    let reads = 0;
    const beforeRead = async () => {
      reads += 1;
      if (reads === 5) throw new Error('the wire is cut');
    };
    await expect(bench.backup({ beforeRead })).rejects.toThrow('the wire is cut');
    expect(await filesBelow(bench.root)).toEqual([]);
  });

  test('when it is aborted before it begins; and a second attempt succeeds', async () => {
    const bench = await workbench();
    await using _folder = bench.folder;
    await writeFile(join(bench.source, 'f'), 'x');
    await expect(bench.backup({}, AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
    expect(await filesBelow(bench.root)).toEqual([]);
    expect((await bench.backup()).snapshot.file_count).toBe(1);
  });
});

async function filesBelow(path: string): Promise<string[]> {
  const found = await readdir(path, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile() || entry.name.includes('.part-')).map((entry) => entry.name);
}
