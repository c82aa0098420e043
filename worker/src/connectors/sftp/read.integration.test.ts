import { createHash, randomBytes } from 'node:crypto';
import { chmod, link, lutimes, mkdir, open, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { makeDeepTree } from '../../testing/deep-tree.ts';
import { targetOf, testSftpConnector } from '../../testing/sftp-client.ts';
import { entryAt, listAll, readLarge, readOne, skippedAt } from '../../testing/sources.ts';
import type { SourceSession } from '../connector.ts';

const { signal } = new AbortController();
const connector = testSftpConnector();
let sshd: TestSshd;
let session: SourceSession;
let root: string;
let round = 0;

beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

beforeEach(async () => {
  round += 1;
  root = join(sshd.dataDir, `tree-${round}`);
  await mkdir(root);
  session = await connector.connect(targetOf(sshd, { path: root }), { private_key: sshd.privateKey }, signal);
});
afterEach(() => session?.close());

test('all kinds of names come as the bytes that they are, and their files can be read', async () => {
  const names = [
    'n'.repeat(255),
    'line\nbreak',
    `quo"te'`,
    'emoji 🗄️',
    '-rf',
    '*?[',
    'tab\t',
    ' ',
    '\\',
    'ü',
    'u\u0308',
  ].map((name) => Buffer.from(name));
  names.push(Buffer.from([0x66, 0xff, 0xfe, 0x80]), Buffer.from('latin-\xe9', 'latin1'));
  const prefix = Buffer.from(`${root}/`);
  for (const name of names) await writeFile(Buffer.concat([prefix, name]), name);
  const listed = await listAll(session, signal);
  expect(listed.skipped).toEqual([]);
  expect(listed.paths[0]).toEqual(Buffer.from('.'));
  expect(listed.paths.slice(1)).toEqual(names.toSorted(Buffer.compare));
  const files = listed.entries.filter(({ type }) => type === 'file');
  const results = await session.readMany(files, signal);
  expect(results.map((result) => result.ok && result.data)).toEqual(files.map(({ path }) => path));
});

test('types, modes, times and link targets', async () => {
  await mkdir(join(root, 'empty'));
  await writeFile(join(root, 'old'), 'old');
  await run('touch', ['-d', '1969-12-31T00:00:00Z', join(root, 'old')]);
  await writeFile(join(root, 'setuid'), '');
  await chmod(join(root, 'setuid'), 0o6755);
  await symlink('/does/not/exist', join(root, 'dangling'));
  await symlink(Buffer.from([0x2e, 0xff]), join(root, 'foreign'));
  await lutimes(join(root, 'dangling'), 1_000_000_000, 1_000_000_000);
  await link(join(root, 'old'), join(root, 'second name'));
  await run('mkfifo', [join(root, 'pipe')]);
  const listed = await listAll(session, signal);
  expect(entryAt(listed, 'empty')).toMatchObject({ type: 'directory', sizeBytes: 0 });
  expect(entryAt(listed, 'old')).toMatchObject({ type: 'file', sizeBytes: 3, mtimeNs: -86_400_000_000_000n });
  expect(entryAt(listed, 'setuid').mode).toBe(0o6755);
  expect(entryAt(listed, 'dangling')).toMatchObject({
    type: 'symlink',
    linkTarget: Buffer.from('/does/not/exist'),
    mtimeNs: 1_000_000_000_000_000_000n,
  });
  expect(entryAt(listed, 'foreign').linkTarget).toEqual(Buffer.from([0x2e, 0xff]));
  // The protocol does not tell of inodes.
  expect(entryAt(listed, 'second name')).not.toHaveProperty('hardLinkKey');
  expect(skippedAt(listed, 'pipe')).toBe('ITEM_UNSUPPORTED');
});

test('parents before children, each directory in byte order, however many directories', async () => {
  const expected: string[] = [];
  for (const a of ['a', 'a.b', 'b', 'é']) {
    expected.push(a);
    for (let b = 10; b < 40; b += 1) {
      await mkdir(join(root, a, String(b), 'x', 'y'), { recursive: true });
      await writeFile(join(root, a, String(b), 'file'), 'f');
      expected.push(`${a}/${b}`, `${a}/${b}/file`, `${a}/${b}/x`, `${a}/${b}/x/y`);
    }
  }
  const listed = await listAll(session, signal);
  expect(listed.paths.map(String)).toEqual(['.', ...expected]);
  expect(await session.measure({ oneFileSystem: false, signal })).toEqual({ fileCount: 120, totalBytes: 120 });
});

test('a directory of many names is listed whole', async () => {
  const names = Array.from({ length: 2500 }, (_, at) => `f${String(at).padStart(5, '0')}`);
  await Promise.all(names.map((name) => writeFile(join(root, name), '')));
  const listed = await listAll(session, signal);
  expect(listed.paths.slice(1).map(String)).toEqual(names);
});

test('what the user may not read is skipped by name, the rest is there', async () => {
  // Owned by somebody else: root, as whom the tests run; else the modes alone do it.
  await writeFile(join(root, 'secret'), 's', { mode: 0 });
  await mkdir(join(root, 'closed'));
  await chmod(join(root, 'closed'), 0);
  await writeFile(join(root, 'free'), 'f');
  const listed = await listAll(session, signal);
  expect(entryAt(listed, 'closed').type).toBe('directory');
  expect(skippedAt(listed, 'closed')).toBe('ITEM_UNREADABLE');
  expect(await readOne(session, entryAt(listed, 'secret'), signal)).toMatchObject({
    ok: false,
    skipped: { skipped: 'ITEM_UNREADABLE' },
  });
  expect(await session.open(entryAt(listed, 'secret'), signal)).toMatchObject({ skipped: 'ITEM_UNREADABLE' });
  expect(await readOne(session, entryAt(listed, 'free'), signal)).toMatchObject({ ok: true, data: Buffer.from('f') });
});

test('small files that grew, shrank, vanished or became something else since they were listed', async () => {
  for (const name of ['grown', 'grown far', 'shrunk', 'gone', 'directory']) await writeFile(join(root, name), 'listed');
  const listed = await listAll(session, signal);
  const grown = randomBytes(100_000);
  await writeFile(join(root, 'grown'), grown);
  await writeFile(join(root, 'grown far'), Buffer.alloc(session.smallFileBytes + 1));
  await truncate(join(root, 'shrunk'), 2);
  await rm(join(root, 'gone'));
  await rm(join(root, 'directory'));
  await mkdir(join(root, 'directory'));
  const read = (name: string) => readOne(session, entryAt(listed, name), signal);
  expect(await read('grown')).toMatchObject({ ok: true, changed: false, data: grown, entry: { sizeBytes: 100_000 } });
  expect(await read('grown far')).toMatchObject({
    ok: true,
    changed: true,
    entry: { sizeBytes: session.smallFileBytes },
  });
  expect(await read('shrunk')).toMatchObject({ ok: true, changed: false, data: Buffer.from('li') });
  expect(await read('gone')).toMatchObject({ ok: false, skipped: { skipped: 'ITEM_VANISHED' } });
  expect(await read('directory')).toMatchObject({ ok: false });
  expect(await session.open(entryAt(listed, 'gone'), signal)).toMatchObject({ skipped: 'ITEM_VANISHED' });
});

test('a large file comes in order and whole', async () => {
  const content = randomBytes(20 * 1024 * 1024 + 12_345);
  await writeFile(join(root, 'large'), content);
  const entry = entryAt(await listAll(session, signal), 'large');
  const { data, changed } = await readLarge(session, entry, signal);
  expect(changed).toBe(false);
  expect(createHash('sha256').update(data).digest('hex')).toBe(createHash('sha256').update(content).digest('hex'));
});

test('a large file that grows is cut at its first size, one that shrinks ends early, both are told', async () => {
  const size = 8 * 1024 * 1024;
  for (const name of ['grows', 'shrinks', 'vanishes']) await writeFile(join(root, name), Buffer.alloc(size, name));
  const listed = await listAll(session, signal);
  // Right after the first chunk, whatever its size.
  const once = () => {
    let done = false;
    return () => {
      const first = !done;
      done = true;
      return first;
    };
  };
  const [growsNow, shrinksNow] = [once(), once()];
  const grown = await readLarge(session, entryAt(listed, 'grows'), signal, async () => {
    if (growsNow()) await writeFile(join(root, 'grows'), 'more', { flag: 'a' });
  });
  expect(grown).toMatchObject({ changed: true, sizeBytes: size });
  expect(grown.data.length).toBe(size);
  const shrunk = await readLarge(session, entryAt(listed, 'shrinks'), signal, async () => {
    if (shrinksNow()) await truncate(join(root, 'shrinks'), 4 * 1024 * 1024 + 5);
  });
  expect(shrunk).toMatchObject({ changed: true, sizeBytes: size });
  expect(shrunk.data.equals(Buffer.alloc(size, 'shrinks').subarray(0, shrunk.data.length))).toBe(true);
  expect(shrunk.data.length).toBe(4 * 1024 * 1024 + 5);
  const vanished = await readLarge(session, entryAt(listed, 'vanishes'), signal, () =>
    rm(join(root, 'vanishes'), { force: true }),
  );
  expect(vanished.data.length).toBe(size);
});

test('a sparse file of 5 GiB opens with its true size and reads', async () => {
  const file = await open(join(root, 'sparse'), 'w');
  await file.truncate(5 * 1024 ** 3);
  await file.close();
  const entry = entryAt(await listAll(session, signal), 'sparse');
  expect(entry.sizeBytes).toBe(5 * 1024 ** 3);
  const opened = await session.open(entry, signal);
  if (!('chunks' in opened)) throw new Error('skipped');
  for await (const chunk of opened.chunks) {
    expect(chunk.every((byte) => byte === 0)).toBe(true);
    break;
  }
  await opened.close();
});

test('where the server hides names because their paths are too long, that is told', async () => {
  makeDeepTree(root, new Array(17).fill('d'.repeat(250)), 'file', 'deep');
  try {
    const listed = await listAll(session, signal);
    expect(listed.paths.some((path) => path.toString().endsWith('/file'))).toBe(false);
    expect(listed.skipped.length).toBeGreaterThan(0);
    expect(new Set(listed.skipped.map(({ skipped }) => skipped))).toEqual(new Set(['ITEM_NAME_UNSUPPORTED']));
  } finally {
    await run('rm', ['-rf', root]);
  }
});

test('one file system: a mounted one is listed by its directory alone', async () => {
  if (process.getuid?.() !== 0) throw new Error('mounting a file system needs root: run this test as root');
  await mkdir(join(root, 'mount'));
  await mkdir(join(root, 'same'));
  await writeFile(join(root, 'same', 'file'), '');
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', join(root, 'mount')]);
  try {
    await writeFile(join(root, 'mount', 'inside'), '');
    const names = async (one: boolean) => (await listAll(session, signal, one)).paths.map(String);
    expect(await names(true)).toEqual(['.', 'mount', 'same', 'same/file']);
    expect(await names(false)).toEqual(['.', 'mount', 'mount/inside', 'same', 'same/file']);
  } finally {
    // The server closes its directories a moment after the listing has ended.
    await until('unmounting', () =>
      run('umount', [join(root, 'mount')]).then(
        () => true,
        () => false,
      ),
    );
  }
});
