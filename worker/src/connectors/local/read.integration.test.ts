import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '@xvault/shared/testing/run.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { entryAt, listAll, readLarge, readOne } from '../../testing/sources.ts';
import type { SourceSession } from '../connector.ts';
import { createLocalConnector } from './connector.ts';

const { signal } = new AbortController();
let root: string;
let session: SourceSession;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'xvault-read-'));
  session = await createLocalConnector({ allowedRoots: [root] }).connect({ path: root }, {}, signal);
});
afterEach(async () => {
  await session?.close();
  await rm(root, { recursive: true, force: true });
});

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');

test('small files come whole, in order, with their hashes', async () => {
  const contents = Array.from({ length: 300 }, (_, at) => randomBytes(at * 97));
  for (const [at, content] of contents.entries()) await writeFile(join(root, String(at).padStart(3, '0')), content);
  const { entries } = await listAll(session, signal);
  const files = entries.slice(1);
  const batches = [files.slice(0, 64), files.slice(64, 128), files.slice(128, 300)];
  const results = (await Promise.all(batches.map((batch) => session.readMany(batch, signal)))).flat();
  expect(results).toHaveLength(300);
  for (const [at, result] of results.entries()) {
    if (!result.ok) throw new Error(`skipped: ${result.skipped.detail}`);
    expect(result).toMatchObject({ changed: false, entry: { path: files[at]?.path, sizeBytes: at * 97 } });
    expect(result.data.equals(contents[at] ?? Buffer.alloc(0))).toBe(true);
    expect(result.sha256?.toString('hex')).toBe(sha256(result.data));
  }
});

test('small files that grew, shrank, vanished or became something else since they were listed', async () => {
  const names = ['grown', 'grown far', 'shrunk', 'gone', 'directory', 'symlink', 'pipe'];
  for (const name of names) await writeFile(join(root, name), 'listed');
  const listed = await listAll(session, signal);
  const grown = randomBytes(100_000);
  await writeFile(join(root, 'grown'), grown);
  await writeFile(join(root, 'grown far'), Buffer.alloc(session.smallFileBytes + 1));
  await truncate(join(root, 'shrunk'), 2);
  for (const name of ['gone', 'directory', 'symlink', 'pipe']) await rm(join(root, name));
  await mkdir(join(root, 'directory'));
  await symlink('/etc/passwd', join(root, 'symlink'));
  await run('mkfifo', [join(root, 'pipe')]);
  const results = await session.readMany(
    names.map((name) => entryAt(listed, name)),
    signal,
  );
  expect(results).toMatchObject([
    { ok: true, changed: false, data: grown, entry: { sizeBytes: 100_000 } },
    { ok: true, changed: true, entry: { sizeBytes: session.smallFileBytes } },
    { ok: true, changed: false, data: Buffer.from('li') },
    { ok: false, skipped: { skipped: 'ITEM_VANISHED' } },
    { ok: false, skipped: { skipped: 'ITEM_VANISHED' } },
    { ok: false, skipped: { skipped: 'ITEM_VANISHED' } },
    { ok: false, skipped: { skipped: 'ITEM_VANISHED' } },
  ]);
  // The same by the other way of reading.
  for (const name of ['gone', 'directory', 'symlink', 'pipe']) {
    expect(await session.open(entryAt(listed, name), signal)).toMatchObject({ skipped: 'ITEM_VANISHED' });
  }
  expect(await readOne(session, entryAt(listed, 'shrunk'), signal)).toMatchObject({ ok: true });
});

test('a large file comes in order and whole', async () => {
  const content = randomBytes(5 * 1024 * 1024 + 123);
  await writeFile(join(root, 'large'), content);
  const { data, changed } = await readLarge(session, entryAt(await listAll(session, signal), 'large'), signal);
  expect(changed).toBe(false);
  expect(sha256(data)).toBe(sha256(content));
});

test('a chunk stays as it is until the next one is asked for', async () => {
  const content = randomBytes(6 * 1024 * 1024);
  await writeFile(join(root, 'large'), content);
  const opened = await session.open(entryAt(await listAll(session, signal), 'large'), signal);
  if (!('chunks' in opened)) throw new Error('skipped');
  let at = 0;
  for await (const chunk of opened.chunks) {
    // Time enough for the read ahead to fill the other buffer.
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(chunk.equals(content.subarray(at, at + chunk.length))).toBe(true);
    at += chunk.length;
  }
  expect(at).toBe(content.length);
  await opened.close();
  await opened.close();
});

test('a large file that grows is cut at its first size, one that shrinks ends early, both are told', async () => {
  const size = 8 * 1024 * 1024;
  for (const name of ['grows', 'shrinks', 'vanishes']) await writeFile(join(root, name), Buffer.alloc(size, name));
  const listed = await listAll(session, signal);
  let first = true;
  const once = (change: () => Promise<void>) => async () => {
    if (first) await change();
    first = false;
  };
  const grown = await readLarge(
    session,
    entryAt(listed, 'grows'),
    signal,
    once(() => writeFile(join(root, 'grows'), '+', { flag: 'a' })),
  );
  expect(grown).toMatchObject({ changed: true, sizeBytes: size });
  expect(grown.data.length).toBe(size);
  first = true;
  const shrunk = await readLarge(
    session,
    entryAt(listed, 'shrinks'),
    signal,
    once(() => truncate(join(root, 'shrinks'), size / 2 + 5)),
  );
  expect(shrunk).toMatchObject({ changed: true, sizeBytes: size });
  expect(shrunk.data.length).toBe(size / 2 + 5);
  first = true;
  const vanished = await readLarge(
    session,
    entryAt(listed, 'vanishes'),
    signal,
    once(() => rm(join(root, 'vanishes'))),
  );
  expect(vanished.data.length).toBe(size);
});

test('a file of 5 GiB with holes is its map and its data, and whole to who wants it whole', async () => {
  const file = await open(join(root, 'sparse'), 'w');
  await file.write('begin', 0);
  await file.write('middle', 3 * 1024 ** 3);
  await file.truncate(5 * 1024 ** 3);
  await file.close();
  const entry = entryAt(await listAll(session, signal), 'sparse');
  expect(entry.sizeBytes).toBe(5 * 1024 ** 3);
  const opened = await session.open(entry, signal);
  if (!('chunks' in opened)) throw new Error('skipped');
  const content: Buffer[] = [];
  for await (const chunk of opened.chunks) content.push(Buffer.from(chunk));
  const stored = Buffer.concat(content);
  expect(opened.sparseBytes).toBe(stored.length);
  const [pieces = 0, ...numbers] =
    stored.subarray(0, 512).toString().split('\0')[0]?.trim().split('\n').map(Number) ?? [];
  expect(pieces).toBe(3);
  const [firstOffset, firstLength = 0, nextOffset, nextLength = 0, end, none] = numbers;
  expect([firstOffset, nextOffset, end, none]).toEqual([0, 3 * 1024 ** 3, 5 * 1024 ** 3, 0]);
  expect(stored.length).toBe(512 + firstLength + nextLength);
  expect(stored.subarray(512, 517).toString()).toBe('begin');
  expect(stored.subarray(512 + firstLength, 518 + firstLength).toString()).toBe('middle');
  expect(await opened.changed()).toBe(false);
  await opened.close();
  const [whole] = await session.readMany([entry], signal);
  if (!whole?.ok) throw new Error('not read');
  expect(whole.data.equals(Buffer.concat([Buffer.from('begin')], session.smallFileBytes))).toBe(true);
});

test('cancelling ends reads with the reason, and the session goes on', async () => {
  await writeFile(join(root, 'file'), Buffer.alloc(4 * 1024 * 1024, 1));
  const entry = entryAt(await listAll(session, signal), 'file');
  const cancel = new AbortController();
  const reason = new Error('cancelled by the test');
  const reading = readLarge(session, entry, cancel.signal, () => cancel.abort(reason));
  await expect(reading).rejects.toBe(reason);
  await expect(session.readMany([entry], cancel.signal)).rejects.toBe(reason);
  await expect(session.open(entry, cancel.signal)).rejects.toBe(reason);
  expect((await readLarge(session, entry, signal)).data.length).toBe(4 * 1024 * 1024);
});
