import { link, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listAll, readOne } from '../../testing/sources.ts';
import { isSkipped, type SourceEntry, type SourceSession } from '../connector.ts';
import { createLocalConnector } from './connector.ts';

const { signal } = new AbortController();
let folder: string;
let source: string;
let session: SourceSession;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'xvault-follow-')));
  source = join(folder, 'source');
  for (const path of ['source/real/deep', 'mine', 'others']) await mkdir(join(folder, path), { recursive: true });
  await writeFile(join(source, 'real/file'), 'in the source');
  await writeFile(join(source, 'real/deep/file'), 'deep');
  await writeFile(join(folder, 'mine/file'), 'beside it');
  await writeFile(join(folder, 'others/secret'), 'secret');
  session = await createLocalConnector({ allowedRoots: [folder] }).connect({ path: source }, {}, signal);
});
afterEach(async () => {
  await session.close();
  await rm(folder, { recursive: true, force: true });
});

/** What is listed, as `path type`, and why symlinks stayed what they are. */
async function listed(followRoots: string[] = [join(folder, 'mine')]) {
  const entries: SourceEntry[] = [];
  const remarks: Record<string, string> = {};
  for await (const item of session.list({ oneFileSystem: false, followSymlinks: true, followRoots, signal })) {
    if (isSkipped(item)) remarks[item.path.toString()] = `${item.skipped} ${item.detail}`;
    else entries.push(item);
  }
  return { entries, remarks, lines: entries.map(({ path, type }) => `${path} ${type}`) };
}

async function contentOf(entries: readonly SourceEntry[], path: string): Promise<string> {
  const entry = entries.find((candidate) => candidate.path.toString() === path);
  if (entry === undefined) throw new Error(`not listed: ${path}`);
  const read = await readOne(session, entry, signal);
  return read.ok ? read.data.toString() : read.skipped.skipped;
}

test('files and directories take the place of symlinks that lead to where they may', async () => {
  await symlink('real/file', join(source, 'a file'));
  await symlink(join(source, 'real/deep'), join(source, 'b directory'));
  await symlink('../mine', join(source, 'c beside'));
  await symlink('c beside', join(source, 'd by another'));
  const { entries, remarks, lines } = await listed();
  expect(remarks).toEqual({});
  expect(lines).toEqual([
    ...['. directory', 'a file file', 'b directory directory', 'b directory/file file'],
    ...['c beside directory', 'c beside/file file', 'd by another directory', 'd by another/file file'],
    ...['real directory', 'real/deep directory', 'real/deep/file file', 'real/file file'],
  ]);
  expect(await contentOf(entries, 'a file')).toBe('in the source');
  expect(await contentOf(entries, 'b directory/file')).toBe('deep');
  expect(await contentOf(entries, 'd by another/file')).toBe('beside it');
  expect(await session.measure({ oneFileSystem: false, followSymlinks: true, signal })).toMatchObject({ fileCount: 6 });
});

test('what leads out, nowhere, to a pipe or in a circle stays a symlink, and that is said', async () => {
  await symlink('../others', join(source, 'a out'));
  await symlink('/etc/passwd', join(source, 'b out'));
  await symlink('missing', join(source, 'c nowhere'));
  await symlink('d itself', join(source, 'd itself'));
  await symlink('/dev/null', join(source, 'e device'));
  await symlink('..', join(source, 'real/up'));
  await symlink('.', join(source, 'real/deep/here'));
  const { lines, remarks } = await listed();
  expect(lines.filter((line) => line.endsWith('symlink'))).toEqual([
    ...['a out symlink', 'b out symlink', 'c nowhere symlink', 'd itself symlink', 'e device symlink'],
    ...['real/deep/here symlink', 'real/up symlink'],
  ]);
  const kept = 'ITEM_LINK_NOT_FOLLOWED';
  expect(remarks).toEqual({
    'a out': `${kept} it leads out of what may be backed up`,
    'b out': `${kept} it leads out of what may be backed up`,
    'c nowhere': `${kept} open: ENOENT`,
    'd itself': `${kept} open: ELOOP`,
    'e device': `${kept} it leads out of what may be backed up`,
    'real/deep/here': `${kept} it leads to a directory that it is in`,
    'real/up': `${kept} it leads to a directory that it is in`,
  });
});

test('other places count only where the operator opened them, and without the option nothing is followed', async () => {
  await symlink('../mine/file', join(source, 'link'));
  await session.close();
  session = await createLocalConnector({ allowedRoots: [source] }).connect({ path: source }, {}, signal);
  expect((await listAll(session, signal)).entries.find(({ path }) => path.toString() === 'link')?.type).toBe('symlink');
  const { lines, remarks } = await listed();
  expect(lines).toContain('link symlink');
  expect(Object.keys(remarks)).toEqual(['link']);
});

test('a symlink that turns elsewhere between listing and reading leads nowhere', async () => {
  await symlink('../mine', join(source, 'a'));
  await symlink('../mine/file', join(source, 'b'));
  const { entries } = await listed();
  await rm(join(source, 'a'));
  await rm(join(source, 'b'));
  await link(join(folder, 'others/secret'), join(folder, 'others/file'));
  await symlink('../others', join(source, 'a'));
  await symlink('../others/secret', join(source, 'b'));
  expect(await contentOf(entries, 'a/file')).toBe('ITEM_UNREADABLE');
  expect(await contentOf(entries, 'b')).toBe('ITEM_UNREADABLE');
});

test('names of one file are known for that across symlinks', async () => {
  await link(join(folder, 'mine/file'), join(source, 'first'));
  await symlink('../mine', join(source, 'linked'));
  const { entries } = await listed();
  const keys = entries.flatMap(({ path, hardLinkKey }) =>
    hardLinkKey === undefined ? [] : [[`${path}`, hardLinkKey]],
  );
  expect(keys.map(([path]) => path)).toEqual(['first', 'linked/file']);
  expect(keys[0]?.[1]).toBe(keys[1]?.[1]);
});
