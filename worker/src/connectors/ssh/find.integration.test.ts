import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { targetOf, testSshOptions } from '../../testing/sftp-client.ts';
import { entryAt, type Listed, listAll, readLarge, readOne } from '../../testing/sources.ts';
import { type EntryFilter, isSkipped, type SkippedItem, type SourceEntry } from '../connector.ts';
import { createLocalConnector } from '../local/connector.ts';
import { createSshConnector } from './connector.ts';

const { signal } = new AbortController();
const connector = createSshConnector(testSshOptions());
const large = 400_000;
let sshd: TestSshd;
let round = 0;

beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

async function newRoot(): Promise<string> {
  round += 1;
  const root = join(sshd.dataDir, `it's "tree" $HOME \`${round}\` %s\\n ü`);
  await mkdir(root);
  return root;
}

const connect = (path: string, more: { port?: number } = {}) =>
  connector.connect(targetOf(sshd, { path, ...more }), { private_key: sshd.privateKey }, signal);

async function listLocally(path: string): Promise<Listed> {
  const session = await createLocalConnector({ allowedRoots: [path] }).connect({ path }, {}, signal);
  try {
    return await listAll(session, signal);
  } finally {
    await session.close();
  }
}

const mtimeOf = async (path: string) => BigInt((await run('stat', ['-c', '%.9Y', path])).trim().replace('.', ''));

test('lists what a walk on the disk itself lists: links, fractions of seconds, names of all bytes', async () => {
  const root = await newRoot();
  const names = [
    'line\nbreak',
    'end\n',
    '\n',
    ' ',
    '-delete',
    '*?[',
    '\\',
    '\\0',
    '%p',
    "it's",
    '=0',
    'ü',
    'n'.repeat(255),
  ];
  const bytes = [...names.map((name) => Buffer.from(name)), Buffer.from([0x66, 0xff, 0xfe, 0x80, 0x01])];
  for (const [at, name] of bytes.entries()) {
    const path = Buffer.concat([Buffer.from(`${root}/`), name]);
    if (at % 2 === 0) await writeFile(path, randomBytes(at));
    else {
      await mkdir(path);
      await writeFile(Buffer.concat([path, Buffer.from('/in\nside')]), 'x');
    }
  }
  await mkdir(join(root, 'a/deep'), { recursive: true });
  await mkdir(join(root, 'a-b'));
  await writeFile(join(root, 'a/deep/file'), 'twice');
  await link(join(root, 'a/deep/file'), join(root, 'a-b/other name'));
  await writeFile(join(root, 'a/large'), randomBytes(large));
  await link(join(root, 'a/large'), join(root, 'z'));
  await symlink('to/no\nwhere//', join(root, 'symlink'));
  await run('mkfifo', [join(root, 'pipe')]);
  await chmod(join(root, 'a/large'), 0o4751);
  await run('touch', ['-d', '1969-12-30T23:59:59.25Z', join(root, 'a/deep/file')]);
  await run('touch', ['-d', '2500-01-01T00:00:00.000000001Z', join(root, 'a-b')]);
  await run('touch', ['-h', '-d', '2001-02-03T04:05:06.789012345Z', join(root, 'symlink')]);

  const session = await connect(root);
  const [listed, expected] = [await listAll(session, signal), await listLocally(root)];
  expect(listed.entries).toEqual(expected.entries);
  expect(listed.skipped.map(({ path, skipped }) => [path, skipped])).toEqual(
    expected.skipped.map(({ path, skipped }) => [path, skipped]),
  );
  expect(listed.paths).toEqual(expected.paths);
  expect(entryAt(listed, 'a/deep/file').hardLinkKey).toBe(entryAt(listed, 'a-b/other name').hardLinkKey);
  expect(entryAt(listed, 'symlink').mtimeNs).toBe(981_173_106_789_012_345n);
  const files = listed.entries.filter(({ type }) => type === 'file');
  expect(await session.measure({ oneFileSystem: false, signal })).toEqual({
    fileCount: files.length,
    // Each content once.
    totalBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) - large - 'twice'.length,
  });
  expect(session.describe?.()).toMatchObject({ transport: 'tar', listing: 'find', connections_lost: 0 });
  await session.close();
});

test('files through tar and files by SFTP have their nanoseconds, and a change within the second is noticed', async () => {
  const root = await newRoot();
  await writeFile(join(root, 'large'), randomBytes(large));
  await writeFile(join(root, 'small'), 'small');
  const session = await connect(root);
  const listed = await listAll(session, signal);
  for (const name of ['large', 'small']) expect(entryAt(listed, name).mtimeNs).toBe(await mtimeOf(join(root, name)));
  expect(await readOne(session, entryAt(listed, 'small'), signal)).toMatchObject({
    ok: true,
    changed: false,
    entry: { mtimeNs: await mtimeOf(join(root, 'small')) },
  });
  const stream = await session.open(entryAt(listed, 'large'), signal);
  if (isSkipped(stream)) throw new Error(stream.detail);
  expect(stream.entry.mtimeNs).toBe(await mtimeOf(join(root, 'large')));
  expect(await stream.changed()).toBe(false);
  await stream.close();
  const second = Number((await mtimeOf(join(root, 'large'))) / 1_000_000_000n);
  const meddled = await readLarge(session, entryAt(listed, 'large'), signal, () =>
    utimes(join(root, 'large'), second, second + 0.5),
  );
  expect(meddled.changed).toBe(true);
  // The name is another file's now; the one that was opened is whole.
  const replaced = await readLarge(session, entryAt(listed, 'large'), signal, async () => {
    await writeFile(join(root, 'new'), 'new');
    await rename(join(root, 'new'), join(root, 'large'));
  });
  expect([replaced.changed, replaced.data.length]).toEqual([false, large]);
  await session.close();
});

test('a filter on one name of a file, and names that come and go while it is listed', async () => {
  const root = await newRoot();
  await mkdir(join(root, 'z'));
  await writeFile(join(root, 'a'), 'content');
  await link(join(root, 'a'), join(root, 'z/excluded'));
  await writeFile(join(root, 'b'), 'content');
  await writeFile(join(root, 'c'), 'content');
  await link(join(root, 'c'), join(root, 'z/goes'));
  const filter: EntryFilter = {
    patterns: { include: [], exclude: ['excluded'] },
    judge: (path) => (path.toString().endsWith('excluded') ? 'skip' : 'take'),
  };
  const session = await connect(root);
  const found = new Map<string, SourceEntry | SkippedItem>();
  for await (const item of session.list({ oneFileSystem: false, signal, filter })) {
    if (item.path.toString() === '.') {
      // Before anything below it is asked for.
      await link(join(root, 'b'), join(root, 'z/comes'));
      await rm(join(root, 'z/goes'));
    }
    found.set(item.path.toString(), item);
  }
  expect([...found.keys()].sort()).toEqual(['.', 'a', 'b', 'c', 'z', 'z/comes']);
  const all = [...found.values()].flatMap((item) => (isSkipped(item) ? [] : [item]));
  const files = all.filter(({ type }) => type === 'file');
  for (const result of await session.readMany(files, signal))
    expect(result).toMatchObject({ ok: true, changed: false });
  await session.close();
});

test('symlinks are followed to all that find knows of their ends; loops are cut', async () => {
  const root = await newRoot();
  await mkdir(join(root, 'sub'));
  await writeFile(join(root, 'file'), 'content');
  await symlink('../file', join(root, 'sub/to file'));
  await symlink('nowhere', join(root, 'dangling'));
  await symlink('..', join(root, 'sub/up'));
  await link(join(root, 'file'), join(root, 'second'));
  await symlink('sub', join(root, 'to sub'));
  const session = await connect(root);
  const found = new Map<string, SourceEntry | SkippedItem>();
  for await (const item of session.list({ oneFileSystem: true, signal, followSymlinks: true })) {
    found.set(item.path.toString(), item);
  }
  expect([...found].map(([path, item]) => `${path} ${isSkipped(item) ? item.skipped : item.type}`)).toEqual([
    '. directory',
    'dangling symlink',
    'file file',
    'second file',
    'sub directory',
    'sub/to file file',
    'sub/up ITEM_UNSUPPORTED',
    'to sub directory',
    'to sub/to file file',
    'to sub/up ITEM_UNSUPPORTED',
  ]);
  const { path: _, ...file } = found.get('file') as SourceEntry;
  for (const name of ['second', 'sub/to file', 'to sub/to file']) expect(found.get(name)).toMatchObject(file);
  expect(file.mtimeNs).toBe(await mtimeOf(join(root, 'file')));
  await session.close();
});

test('one file system: a mounted one is listed by its directory alone', async () => {
  if (process.getuid?.() !== 0) throw new Error('mounting a file system needs root: run this test as root');
  const root = await newRoot();
  await mkdir(join(root, 'mount'));
  await mkdir(join(root, 'same'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', join(root, 'mount')]);
  const session = await connect(root);
  try {
    await writeFile(join(root, 'mount/inside'), '');
    const names = async (only: boolean) => (await listAll(session, signal, only)).paths.map(String);
    expect(await names(true)).toEqual(['.', 'mount', 'same']);
    expect(await names(false)).toEqual(['.', 'mount', 'mount/inside', 'same']);
  } finally {
    await session.close();
    await until('unmounting', () =>
      run('umount', [join(root, 'mount')]).then(
        () => true,
        () => false,
      ),
    );
  }
});

test('a directory that cannot be read, and one that has become a link, are told of', async () => {
  const root = await newRoot();
  for (const name of ['locked', 'names only', 'swapped', 'z']) await mkdir(join(root, name));
  for (const name of ['locked', 'names only', 'z']) await writeFile(join(root, name, 'inside'), 'x');
  await run('chown', ['-R', `${sshd.user.uid}:${sshd.user.gid}`, root]);
  await chmod(join(root, 'locked'), 0);
  await chmod(join(root, 'names only'), 0o400);
  const session = await connect(root);
  const said: string[] = [];
  for await (const item of session.list({ oneFileSystem: false, signal })) {
    said.push(`${item.path} ${isSkipped(item) ? item.skipped : item.type}`);
  }
  expect(said.slice(0, 3)).toEqual(['. directory', 'locked directory', 'locked ITEM_UNREADABLE']);
  expect(said.slice(-3)).toEqual(['swapped directory', 'z directory', 'z/inside file']);
  expect(session.describe?.()).toMatchObject({ listing: 'find' });
  await session.close();
});

test('the connection breaks while it lists: nothing is missing and nothing comes twice', async () => {
  const root = await newRoot();
  const directories = Array.from({ length: 150 }, (_, at) => String(1000 + at));
  for (const name of directories) {
    await mkdir(join(root, name));
    await Promise.all(Array.from({ length: 40 }, (_, at) => writeFile(join(root, name, `file ${at}`), '')));
  }
  const proxy = await startTcpProxy(sshd.port);
  const session = await connect(root, { port: proxy.port });
  const paths: string[] = [];
  for await (const item of session.list({ oneFileSystem: false, signal })) {
    paths.push(item.path.toString());
    if (paths.length === 300) proxy.cut();
  }
  expect(paths).toEqual((await listLocally(root)).paths.map(String));
  expect(session.describe?.()).toMatchObject({ listing: 'find', connections_lost: 1 });
  await session.close();
  await proxy.close();
  await until('no processes left', () => sshd.sessionCount() === 0);
});

test('a list that nobody reads on leaves no shell behind', async () => {
  const root = await newRoot();
  await writeFile(join(root, 'file'), '');
  const session = await connect(root);
  const before = sshd.sessionCount();
  for await (const _ of session.list({ oneFileSystem: false, signal })) break;
  for await (const item of session.list({ oneFileSystem: false, signal })) if (item.path.toString() === 'file') break;
  const stop = new AbortController();
  const listing = session.list({ oneFileSystem: false, signal: stop.signal })[Symbol.asyncIterator]();
  await listing.next();
  stop.abort(new Error('stopped'));
  await expect(
    (async () => {
      for (let next = await listing.next(); !next.done; next = await listing.next());
    })(),
  ).rejects.toThrow('stopped');
  await until('the shells have ended', () => sshd.sessionCount() <= before + 1);
  await session.close();
  await until('no processes left', () => sshd.sessionCount() === 0);
});
