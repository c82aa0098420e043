import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { chmod, link, mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '@xvault/shared/testing/run.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RecordReader } from '../../native/records.ts';
import { NativeThreads } from '../../native/threads.ts';
import { makeDeepTree } from '../../testing/deep-tree.ts';
import { entryAt, listAll, readLarge, readOne, skippedAt } from '../../testing/sources.ts';
import type { SourceSession } from '../connector.ts';
import { createFilter } from '../filter/filter.ts';
import { plainExclusions } from '../filter/plain.ts';
import { createLocalConnector } from './connector.ts';

const { signal } = new AbortController();
let root: string;
let session: SourceSession;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'xvault-list-'));
  session = await createLocalConnector({ allowedRoots: [root] }).connect({ path: root }, {}, signal);
});
afterEach(async () => {
  await session?.close();
  await run('rm', ['-rf', root]);
});

test('all kinds of names come as the bytes that they are, in byte order', async () => {
  const names = ['n'.repeat(255), 'line\nbreak', `quo"te'`, '🗄️', '-rf', '*?[', ' ', '\\', 'ü', 'u\u0308', 'z'].map(
    (name) => Buffer.from(name),
  );
  names.push(Buffer.from([0x66, 0xff, 0xfe, 0x80]), Buffer.from('latin-\xe9', 'latin1'));
  for (const name of names) await writeFile(Buffer.concat([Buffer.from(`${root}/`), name]), name);
  const listed = await listAll(session, signal);
  expect(listed.skipped).toEqual([]);
  expect(listed.paths).toEqual([Buffer.from('.'), ...names.toSorted(Buffer.compare)]);
  const files = listed.entries.slice(1);
  const results = await session.readMany(files, signal);
  expect(results.map((result) => result.ok && result.data)).toEqual(files.map(({ path }) => path));
});

test('types, every mode, times with nanoseconds and before 1970, links', async () => {
  const modes = Array.from({ length: 0o10000 / 8 }, (_, at) => at * 8 + (at % 8));
  await mkdir(join(root, 'modes'));
  for (const mode of modes) {
    const file = join(root, 'modes', mode.toString(8));
    await writeFile(file, '');
    await chmod(file, mode);
  }
  await mkdir(join(root, 'empty'));
  await writeFile(join(root, 'old'), 'old');
  await run('touch', ['-d', '1955-11-05T06:15:00.123456789Z', join(root, 'old')]);
  await link(join(root, 'old'), join(root, 'second name'));
  await symlink('/does/not/exist', join(root, 'dangling'));
  await symlink(Buffer.from([0x2e, 0xff]), join(root, 'foreign'));
  await run('touch', ['-h', '-d', '2001-09-09T01:46:40.000000001Z', join(root, 'dangling')]);
  const listed = await listAll(session, signal);
  expect(
    listed.entries
      .filter(({ path }) => path.toString().startsWith('modes/'))
      .every(({ path, mode }) => path.toString() === `modes/${mode.toString(8)}`),
  ).toBe(true);
  expect(entryAt(listed, '.')).toMatchObject({ type: 'directory', sizeBytes: 0 });
  expect(entryAt(listed, 'empty')).toMatchObject({ type: 'directory', sizeBytes: 0 });
  expect(entryAt(listed, 'old')).toMatchObject({ type: 'file', sizeBytes: 3, mtimeNs: -446_751_899_876_543_211n });
  expect(entryAt(listed, 'old').hardLinkKey).toBeDefined();
  expect(entryAt(listed, 'second name').hardLinkKey).toBe(entryAt(listed, 'old').hardLinkKey);
  expect(entryAt(listed, 'modes/0')).not.toHaveProperty('hardLinkKey');
  expect(entryAt(listed, 'dangling')).toMatchObject({
    linkTarget: Buffer.from('/does/not/exist'),
    mtimeNs: 1_000_000_000_000_000_001n,
  });
  expect(entryAt(listed, 'foreign').linkTarget).toEqual(Buffer.from([0x2e, 0xff]));
  expect(await session.measure({ oneFileSystem: false, signal })).toEqual({
    fileCount: modes.length + 2,
    totalBytes: 3,
  });
});

test('sockets, pipes and devices are skipped by name', async () => {
  const server = createServer().listen(join(root, 'socket'));
  await once(server, 'listening');
  await run('mkfifo', [join(root, 'pipe')]);
  const listed = await listAll(session, signal);
  server.close();
  expect(['socket', 'pipe'].map((name) => skippedAt(listed, name))).toEqual(['ITEM_UNSUPPORTED', 'ITEM_UNSUPPORTED']);
});

test('parents before children, each directory in byte order', async () => {
  for (const name of ['b/2', 'b/1', 'a/x/y', 'a.b', 'c']) await mkdir(join(root, name), { recursive: true });
  const listed = await listAll(session, signal);
  expect(listed.paths.map(String)).toEqual(['.', 'a', 'a/x', 'a/x/y', 'a.b', 'b', 'b/1', 'b/2', 'c']);
});

test('paths over 4,096 bytes are listed and read', async () => {
  const names = Array.from({ length: 30 }, (_, at) => `${String(at).padStart(2, '0')}${'d'.repeat(253)}`);
  const path = makeDeepTree(root, names, 'file', 'deep content');
  const listed = await listAll(session, signal);
  expect(listed.skipped).toEqual([]);
  const entry = entryAt(listed, path);
  expect(entry.path.length).toBeGreaterThan(7000);
  expect(await readOne(session, entry, signal)).toMatchObject({ ok: true, data: Buffer.from('deep content') });
  expect((await readLarge(session, entry, signal)).data.toString()).toBe('deep content');
});

test('a tree deeper than descriptors are held for goes down and comes back up', async () => {
  const names = new Array(450).fill('d');
  makeDeepTree(root, names, 'bottom', 'b');
  makeDeepTree(root, ['d-side', 'e'], 'side', 's');
  for (const depth of [100, 250, 400]) await writeFile(join(root, ...names.slice(0, depth), 'z after'), 'z');
  const before = openDescriptors();
  const listed = await listAll(session, signal);
  expect(listed.skipped).toEqual([]);
  const files = listed.entries.filter(({ type }) => type === 'file');
  expect(files.map(({ path }) => path.toString().split('/').length)).toEqual([451, 401, 251, 101, 3]);
  const results = await session.readMany(files, signal);
  expect(results.map((result) => result.ok && result.data.toString())).toEqual(['b', 'z', 'z', 'z', 's']);
  const back = await session.readMany(files.toReversed(), signal);
  expect(back.every(({ ok }) => ok)).toBe(true);
  await session.close();
  await until('no descriptors left open', () => openDescriptors() <= before);
  session = await createLocalConnector({ allowedRoots: [root] }).connect({ path: root }, {}, signal);
});

test('more entries than one reply holds, a consumer that stops early, and the next listing', async () => {
  for (let at = 0; at < 3000; at += 1) await writeFile(join(root, `f${String(at).padStart(4, '0')}`), '');
  for await (const item of session.list({ oneFileSystem: false, signal })) if (item.path.toString() === 'f0001') break;
  const listed = await listAll(session, signal);
  expect(listed.paths).toHaveLength(3001);
  expect(new Set(listed.paths.map(String)).size).toBe(3001);
});

test('a directory that becomes a symlink during the walk does not lead outside', async () => {
  const outside = await mkdtemp(join(tmpdir(), 'xvault-outside-'));
  await writeFile(join(outside, 'secret'), 'secret');
  for (let at = 0; at < 2000; at += 1) await writeFile(join(root, `a${String(at).padStart(4, '0')}`), '');
  await mkdir(join(root, 'dir'));
  await writeFile(join(root, 'dir', 'secret'), 'mine');
  const before = await listAll(session, signal);
  await rename(join(root, 'dir'), join(root, 'moved'));
  await symlink(outside, join(root, 'dir'));
  const listed = await listAll(session, signal);
  expect(listed.paths.map(String)).not.toContain('dir/secret');
  expect(entryAt(listed, 'dir').type).toBe('symlink');
  const stale = entryAt(before, 'dir/secret');
  expect(await readOne(session, stale, signal)).toMatchObject({ ok: false, skipped: { skipped: 'ITEM_VANISHED' } });
  expect(await session.open(stale, signal)).toMatchObject({ skipped: 'ITEM_VANISHED' });
  rmSync(outside, { recursive: true });
});

test('without the rights of root, what cannot be read is skipped by name', async () => {
  await mkdir(join(root, 'closed'));
  await writeFile(join(root, 'closed', 'inside'), 'i');
  await writeFile(join(root, 'secret'), 's', { mode: 0 });
  await writeFile(join(root, 'free'), 'f');
  await chmod(join(root, 'closed'), 0);
  const report = await reportWithoutOverride(root);
  expect(report).toEqual({
    listed: ['.', 'closed', 'free', 'secret'],
    skipped: { closed: 'ITEM_UNREADABLE' },
    read: { free: 'f', secret: 'ITEM_UNREADABLE' },
    opened: ['opened', 'ITEM_UNREADABLE'],
  });
  expect(await reportWithoutOverride(join(root, 'closed'))).toEqual({ error: 'SOURCE_PERMISSION' });
});

test('one file system: a mounted one is listed by its directory alone', async () => {
  if (process.getuid?.() !== 0) throw new Error('mounting a file system needs root: run this test as root');
  await mkdir(join(root, 'mount'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', join(root, 'mount')]);
  try {
    await writeFile(join(root, 'mount', 'inside'), '');
    expect((await listAll(session, signal, true)).paths.map(String)).toEqual(['.', 'mount']);
    expect((await listAll(session, signal, false)).paths.map(String)).toEqual(['.', 'mount', 'mount/inside']);
  } finally {
    await run('umount', [join(root, 'mount')]);
  }
});

test('cancelling ends a listing with the reason', async () => {
  for (let at = 0; at < 2000; at += 1) await writeFile(join(root, `f${at}`), '');
  const cancel = new AbortController();
  const reason = new Error('cancelled by the test');
  const listing = (async () => {
    for await (const _ of session.list({ oneFileSystem: false, signal: cancel.signal })) cancel.abort(reason);
  })();
  await expect(listing).rejects.toBe(reason);
  await expect(session.measure({ oneFileSystem: false, signal: cancel.signal })).rejects.toBe(reason);
  await rm(join(root, 'f0'));
  expect((await listAll(session, signal)).paths).toHaveLength(2000);
});

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Root may read everything, so a child without that right looks at the tree. */
async function reportWithoutOverride(path: string): Promise<unknown> {
  const program = fileURLToPath(new URL('../../testing/report-source.ts', import.meta.url));
  const lowered = '-dac_override,-dac_read_search';
  const drop = process.getuid?.() === 0 ? ['setpriv', `--bounding-set=${lowered}`, `--inh-caps=${lowered}`] : [];
  const [file = '', ...args] = [...drop, process.execPath, program, path];
  return JSON.parse(await run(file, args));
}

test('what is excluded is not walked: by plain names not looked at, by other patterns left as soon as that is known', async () => {
  const excluded = ['plain', 'wild-1/deep', 'side'];
  for (const name of [...excluded, 'kept']) await mkdir(join(root, name), { recursive: true });
  for (let at = 0; at < 6000; at += 1) await writeFile(join(root, 'wild-1/deep', `f${at}`), '');
  for (const name of ['plain/a', 'side/b', 'kept/c', 'z']) await writeFile(join(root, name), '');
  const filter = createFilter({ include: [], exclude: ['plain', '/side/', 'wild-*'] });
  const handle = await open(root);
  const threads = new NativeThreads(1, handle.fd);
  const walk = threads.walk({ oneFileSystem: false, exclusions: plainExclusions(filter) });
  const paths: string[] = [];
  for (let ended = false; !ended; ) {
    const page = await walk.items();
    const reader = new RecordReader(page.records);
    for (let at = 0; at < page.count; at += 1) {
      const { path } = reader.item();
      paths.push(path.toString());
      if (path.toString() === 'wild-1') walk.skip(path);
    }
    ended = page.ended;
  }
  threads.close();
  await handle.close();
  expect(paths.slice(0, 5)).toEqual(['.', 'kept', 'kept/c', 'wild-1', 'wild-1/deep']);
  expect(paths.at(-1)).toBe('z');
  // One page, of 512 at most, was made before it could be told.
  expect(paths.length).toBeLessThan(600);
  const listed: string[] = [];
  for await (const item of session.list({ oneFileSystem: false, filter, signal })) listed.push(item.path.toString());
  expect(listed).toEqual(expect.arrayContaining(['.', 'kept', 'kept/c', 'z']));
  expect(listed.filter((path) => excluded.includes(path))).toEqual([]);
});
