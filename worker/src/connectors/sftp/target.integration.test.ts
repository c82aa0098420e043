import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { targetOf, testSshOptions } from '../../testing/sftp-client.ts';
import type { SourceEntry } from '../connector.ts';
import { TargetItemError, type TargetSession } from '../target.ts';
import { createSftpTarget } from './target.ts';

const { signal } = new AbortController();
const connector = createSftpTarget(testSshOptions());
let sshd: TestSshd;
let root: string;
let target: TargetSession;
let round = 0;

beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());
beforeEach(async () => {
  round += 1;
  root = join(sshd.dataDir, `restored ${round}`);
  target = await connect();
});
afterEach(() => target?.close());

function connect(port = sshd.port, path = root): Promise<TargetSession> {
  const config = targetOf(sshd, { port });
  return connector.connectTarget(config, { private_key: sshd.privateKey }, path, signal, { tag: 'run1' });
}

function entry(path: string | Buffer, more: Partial<SourceEntry> = {}): SourceEntry {
  const mtimeNs = 1_600_000_000_000_000_000n;
  return { path: Buffer.from(path), type: 'file', sizeBytes: 0, mode: 0o640, uid: 0, gid: 0, mtimeNs, ...more };
}

async function* chunks(...parts: Buffer[]): AsyncGenerator<Buffer> {
  for (const part of parts) {
    const mine = Buffer.from(part);
    yield mine;
    // A reader may use the memory again once it is asked for more.
    mine.fill(0);
  }
}

test('connecting changes nothing; a missing root is made with the directories above it', async () => {
  await target.close();
  root = join(root, 'not', 'there');
  target = await connect();
  expect(await target.stat(Buffer.from('.'))).toBeNull();
  expect(await target.stat(Buffer.from('a/b'))).toBeNull();
  await expect(stat(root)).rejects.toMatchObject({ code: 'ENOENT' });
  await target.makeDirectory(Buffer.from('a/b'));
  await target.makeDirectory(Buffer.from('a/b'));
  expect(await target.stat(Buffer.from('.'))).toMatchObject({ type: 'directory' });
  expect(await target.stat(Buffer.from('a/b'))).toMatchObject({ type: 'directory' });
});

test('files of all sizes and names arrive whole, with mode and time, over what was there', async () => {
  await target.makeDirectory(Buffer.from('d'));
  const names = ['plain', 'line\nbreak', '-rf', 'n'.repeat(255), Buffer.from([0x66, 0xff, 0xfe])];
  const contents = [0, 1, 32_768, 100_001, 5_000_000].map((size) => randomBytes(size));
  await writeFile(join(root, 'd', 'plain'), 'what was there');
  for (const [at, name] of names.entries()) {
    const path = Buffer.concat([Buffer.from('d/'), Buffer.from(name)]);
    const content = contents[at] ?? Buffer.alloc(0);
    const half = Math.floor(content.length / 2);
    await target.writeFile(entry(path), chunks(content.subarray(0, half), content.subarray(half)), signal);
    const file = Buffer.concat([Buffer.from(`${root}/`), path]);
    expect((await readFile(file)).equals(content)).toBe(true);
    const { mode, mtimeMs } = await stat(file);
    expect([mode & 0o7777, mtimeMs]).toEqual([0o640, 1_600_000_000_000]);
    expect(await target.stat(path)).toEqual({
      type: 'file',
      sizeBytes: content.length,
      mtimeNs: 1_600_000_000_000_000_000n,
    });
  }
  await target.finishDirectory(entry('d', { type: 'directory', mode: 0o750 }));
  expect((await stat(join(root, 'd'))).mode & 0o7777).toBe(0o750);
  expect((await stat(join(root, 'd'))).mtimeMs).toBe(1_600_000_000_000);
  expect(await readdir(join(root, 'd'))).toHaveLength(names.length);
});

test('symlinks and hard links are made, over what was there', async () => {
  await target.makeDirectory(Buffer.from('.'));
  await target.writeFile(entry('file'), chunks(Buffer.from('content')), signal);
  const link = entry('link', { type: 'symlink', linkTarget: Buffer.from('../outside') });
  await target.makeSymlink(link);
  await target.makeSymlink(link);
  expect(await readlink(join(root, 'link'))).toBe('../outside');
  expect((await lstat(join(root, 'link'))).mtimeMs).toBe(1_600_000_000_000);
  await target.makeHardlink?.(Buffer.from('again'), Buffer.from('file'));
  await target.makeHardlink?.(Buffer.from('again'), Buffer.from('file'));
  await target.makeHardlink?.(Buffer.from('link'), Buffer.from('file'));
  expect((await stat(join(root, 'file'))).nlink).toBe(3);
  expect((await readdir(root)).sort()).toEqual(['again', 'file', 'link']);
});

test('no symlink below the root is followed', async () => {
  const outside = join(sshd.dataDir, `outside ${round}`);
  await mkdir(outside);
  await mkdir(root);
  await writeFile(join(outside, 'theirs'), 'untouched');
  await symlink(outside, join(root, 'out'));
  await symlink(join(outside, 'theirs'), join(root, 'theirs'));
  await run('chown', ['-hR', `${sshd.user.uid}:${sshd.user.gid}`, root, outside]);
  const path = Buffer.from('out/new');
  await expect(target.writeFile(entry(path), chunks(Buffer.from('x')), signal)).rejects.toBeInstanceOf(TargetItemError);
  await expect(target.makeDirectory(path)).rejects.toBeInstanceOf(TargetItemError);
  await expect(target.makeDirectory(Buffer.from('out'))).rejects.toBeInstanceOf(TargetItemError);
  await expect(target.stat(path)).rejects.toBeInstanceOf(TargetItemError);
  await expect(target.finishDirectory(entry('out', { type: 'directory' }))).rejects.toBeInstanceOf(TargetItemError);
  await expect(target.makeHardlink?.(Buffer.from('mine'), Buffer.from('out/theirs'))).rejects.toBeInstanceOf(
    TargetItemError,
  );
  expect(await target.stat(Buffer.from('out'))).toMatchObject({ type: 'symlink' });
  // In place of a symlink comes the file; what it led to stays as it was.
  await target.writeFile(entry('theirs'), chunks(Buffer.from('mine')), signal);
  expect((await lstat(join(root, 'theirs'))).isFile()).toBe(true);
  expect(await readFile(join(outside, 'theirs'), 'utf8')).toBe('untouched');
  expect(await readdir(outside)).toEqual(['theirs']);
});

test('one path that cannot be written is an error of its own, and leaves nothing', async () => {
  await target.makeDirectory(Buffer.from('directory'));
  const write = (path: string) => target.writeFile(entry(path), chunks(Buffer.from('x')), signal);
  await expect(write('directory')).rejects.toBeInstanceOf(TargetItemError);
  await expect(write('missing/file')).rejects.toBeInstanceOf(TargetItemError);
  await expect(write('n'.repeat(256))).rejects.toBeInstanceOf(TargetItemError);
  await run('chmod', ['555', join(root, 'directory')]);
  await expect(write('directory/file')).rejects.toBeInstanceOf(TargetItemError);
  await write('file');
  expect((await readdir(root)).sort()).toEqual(['directory', 'file']);
});

test('content that breaks off, a cancelled write and a killed attempt leave no half file', async () => {
  await target.makeDirectory(Buffer.from('.'));
  const broken = new Error('the artifact is damaged');
  async function* breaking(): AsyncGenerator<Buffer> {
    yield Buffer.alloc(100_000);
    throw broken;
  }
  await expect(target.writeFile(entry('file'), breaking(), signal)).rejects.toBe(broken);
  const cancel = new AbortController();
  const reason = new Error('cancelled by the test');
  async function* cancelling(): AsyncGenerator<Buffer> {
    yield Buffer.alloc(100_000);
    cancel.abort(reason);
    yield Buffer.alloc(100_000);
  }
  await expect(target.writeFile(entry('file'), cancelling(), cancel.signal)).rejects.toBe(reason);
  expect(await readdir(root)).toEqual([]);
  const proxy = await startTcpProxy(sshd.port);
  const losing = await connect(proxy.port);
  async function* cutting(): AsyncGenerator<Buffer> {
    yield Buffer.alloc(100_000);
    proxy.cut();
    for (;;) yield Buffer.alloc(100_000);
  }
  await expect(losing.writeFile(entry('file'), cutting(), signal)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await losing.close();
  await proxy.close();
  expect(await readdir(root)).toEqual([expect.stringMatching(/^\.xvault-run1-/)]);
  await target.writeFile(entry('file'), chunks(Buffer.from('whole')), signal);
  expect(await readdir(root)).toEqual(['file']);
});

test('a full disk is told as that', async () => {
  if (process.getuid?.() !== 0) throw new Error('mounting a file system needs root: run this test as root');
  await mkdir(root);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=777', 'tmpfs', root]);
  try {
    await expect(target.writeFile(entry('file'), chunks(Buffer.alloc(4_000_000)), signal)).rejects.toMatchObject({
      code: 'STORAGE_FULL',
    });
    expect(await readdir(root)).toEqual([]);
  } finally {
    await target.close();
    await run('umount', [root]);
  }
});
