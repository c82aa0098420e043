import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExportShelf } from './export-shelf.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'xvault-shelf-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

test('an export goes when its time is over and not before', async () => {
  const shelf = new ExportShelf(root, async () => undefined);
  await writeFile(join(await shelf.prepare('old', '2026-01-01T00:00:00.000Z'), 'a.zip'), 'x');
  await writeFile(join(await shelf.prepare('new', '2026-03-01T00:00:00.000Z'), 'b.zip'), 'y');
  expect(await shelf.sweep(Date.parse('2026-02-01T00:00:00.000Z'))).toBe(1);
  expect(await readdir(root)).toEqual(['new']);
  expect((await stat(join(root, 'new'))).mode & 0o777).toBe(0o700);
});

test('a directory that names no expiry goes a day after its last change', async () => {
  const shelf = new ExportShelf(root, async () => undefined);
  await mkdir(join(root, 'half-made'));
  const changed = new Date('2026-01-01T00:00:00.000Z');
  await utimes(join(root, 'half-made'), changed, changed);
  expect(await shelf.sweep(changed.getTime() + 86_399_000)).toBe(0);
  expect(await shelf.sweep(changed.getTime() + 86_400_000)).toBe(1);
});

test('names that lead elsewhere are refused', async () => {
  const shelf = new ExportShelf(root, async () => undefined);
  expect(() => shelf.file('id', '../x')).toThrow('plain file name');
  expect(() => shelf.file('..', 'x')).toThrow();
  await expect(shelf.prepare('../out', '2026-01-01T00:00:00.000Z')).rejects.toThrow();
});

test('half-written exports of a killed process go, whole ones stay', async () => {
  const shelf = new ExportShelf(root, async () => undefined);
  const directory = await shelf.prepare('made', '2026-03-01T00:00:00.000Z');
  for (const name of ['a.zip', 'a.zip.part-1', 'a.zip.part-12']) await writeFile(join(directory, name), 'x');
  await shelf.removeParts();
  expect((await readdir(directory)).sort()).toEqual(['.expires-at', 'a.zip']);
});
