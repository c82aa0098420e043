import { hash, randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startChild } from '../../process/run-child.ts';
import { type RestoreResult, restoreToDirectory } from './restore-directory.ts';
import { artifactOrigin } from './restore-origin.ts';
import {
  bytesOf,
  defaultMtimeNs,
  makeSnapshot,
  type TestFolder,
  type TestSnapshot,
  type TreeEntry,
  testFolder,
} from './restore-test-kit.ts';

const root: TreeEntry = { path: '.', type: 'directory', mode: 0o751, mtimeNs: 1_600_000_000_000_000_001n };
const isRoot = process.getuid?.() === 0;

let folder: TestFolder;
let allowed: string;
beforeEach(async () => {
  folder = await testFolder();
  allowed = join(folder.path, 'allowed');
  await mkdir(allowed);
});
afterEach(() => folder.remove());

interface Asked {
  readonly paths?: string[];
  readonly target?: string;
  readonly allowSetuid?: boolean;
  readonly epoch?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (status: { bytesDone: number; filesDone: number }) => void;
}

async function restore(snapshot: TestSnapshot, asked: Asked = {}): Promise<RestoreResult> {
  const reader = await snapshot.open();
  try {
    return await restoreToDirectory({
      origin: artifactOrigin(reader, asked.paths ?? null),
      targetPath: asked.target ?? join(allowed, 'target'),
      allowedRoots: [allowed],
      allowSetuid: asked.allowSetuid ?? false,
      runId: 'run',
      epoch: asked.epoch ?? 1,
      signal: asked.signal ?? new AbortController().signal,
      ...(asked.onProgress && { onProgress: asked.onProgress }),
    });
  } finally {
    await reader.close();
  }
}

/** Compares what is on the disk with what was to be restored. */
async function expectRestored(target: string, tree: readonly TreeEntry[], options = { setuid: false }): Promise<void> {
  const at = (path: string | Buffer) => Buffer.concat([Buffer.from(`${target}/`), bytesOf(path)]);
  const differing: unknown[] = [];
  for (const entry of tree) {
    const expected = await describeEntry(entry, at, options.setuid);
    const found = await describeFound(at(entry.path), entry.type === 'hardlink');
    // One comparison for all, because thousands of `expect` are slow.
    if (JSON.stringify(found) !== JSON.stringify(expected)) differing.push({ entry, found, expected });
  }
  expect(differing).toEqual([]);
  expect((await readdir(target, { recursive: true })).length).toBe(tree.length - 1);
}

const typeBits = { directory: 0o040000, file: 0o100000, sparse: 0o100000, symlink: 0o120000 };

async function describeEntry(entry: TreeEntry, at: (path: string | Buffer) => Buffer, setuid: boolean) {
  if (entry.type === 'hardlink') return await describeFound(at(entry.target), true);
  const defaultMode = { directory: 0o755, file: 0o644, sparse: 0o644, symlink: 0o777 }[entry.type];
  const mode = entry.type === 'symlink' ? defaultMode : (entry.mode ?? defaultMode);
  return {
    mode: typeBits[entry.type] | (entry.type === 'file' && !setuid ? mode & ~0o6000 : mode),
    mtimeNs: String(entry.mtimeNs ?? defaultMtimeNs),
    owner: isRoot ? [entry.uid ?? 0, entry.gid ?? 0] : [process.getuid?.(), process.getgid?.()],
    data: entry.type === 'file' ? digest(bytesOf(entry.data ?? '')) : null,
    target: entry.type === 'symlink' ? bytesOf(entry.target).toString('hex') : null,
  };
}

async function describeFound(path: Buffer, asInode: boolean) {
  const { mode, mtimeNs, uid, gid, ino } = await lstat(path, { bigint: true });
  if (asInode) return { inode: String(ino) };
  const type = Number(mode) & 0o170000;
  return {
    mode: Number(mode),
    mtimeNs: String(mtimeNs),
    owner: [Number(uid), Number(gid)],
    data: type === typeBits.file ? digest(await readFile(path)) : null,
    target: type === typeBits.symlink ? (await readlink(path, { encoding: 'buffer' })).toString('hex') : null,
  };
}

function digest(data: Buffer): string {
  return hash('sha256', data);
}

async function expectNothingLeft(): Promise<void> {
  expect(await readdir(allowed)).toEqual([]);
}

describe('restoring a directory', () => {
  it('gives back names of any bytes, links, all times', async () => {
    const tree: TreeEntry[] = [
      root,
      { path: 'empty directory', type: 'directory', mode: 0o1777, mtimeNs: -1n },
      { path: 'empty file', type: 'file' },
      { path: 'new\nline', type: 'file', data: 'a' },
      { path: `quotes ' " \` $HOME \\ * ? ~`, type: 'file', data: 'b' },
      { path: '-rf', type: 'file', data: 'option' },
      { path: '🦊 ünï.txt', type: 'file', data: 'c' },
      { path: Buffer.from('latin \xe9\xff.txt', 'latin1'), type: 'file', data: 'd' },
      { path: Buffer.from('latin \xe9\xfe.txt', 'latin1'), type: 'file', data: 'e' },
      { path: 'n'.repeat(255), type: 'file', data: 'long name' },
      { path: 'before 1970', type: 'file', mtimeNs: -2_000_000_000_000_000_001n },
      { path: 'one nanosecond before', type: 'file', mtimeNs: -1n },
      { path: 'nanoseconds', type: 'file', mtimeNs: 1_700_000_000_000_000_001n },
      { path: 'future', type: 'file', mtimeNs: 7_000_000_000_999_999_999n },
      { path: 'big.bin', type: 'file', data: Buffer.alloc(9_000_000, 'some content ') },
      { path: 'dangling', type: 'symlink', target: 'nowhere/at all', mtimeNs: 5n },
      { path: 'absolute', type: 'symlink', target: '/etc/passwd' },
      { path: 'upwards', type: 'symlink', target: '../../../etc' },
      { path: 'bytes', type: 'symlink', target: Buffer.from('\xff\xfe', 'latin1') },
      { path: 'long link', type: 'symlink', target: 't/'.repeat(1500) },
      { path: 'second name', type: 'hardlink', target: 'big.bin' },
      { path: 'locked', type: 'directory', mode: 0o555 },
      { path: 'locked/inside', type: 'file', data: 'x' },
      { path: 'locked/second', type: 'hardlink', target: 'empty file' },
    ];
    const result = await restore(await makeSnapshot(folder.path, tree));
    await expectRestored(join(allowed, 'target'), tree);
    expect(result).toEqual({ fileCount: 14, bytes: 9_000_021, entryCount: 24, setuidDropped: 0 });
  });

  it('gives back all modes from 0000 to 7777', async () => {
    const tree: TreeEntry[] = [root];
    for (let mode = 0; mode <= 0o7777; mode += 1) {
      tree.push({ path: `m${mode}`, type: 'file', mode, data: 'x', ...(isRoot && { uid: 1234, gid: 3_000_000 }) });
    }
    for (let mode = 0; mode <= 0o7777; mode += 0o111) tree.push({ path: `d${mode}`, type: 'directory', mode });
    const snapshot = await makeSnapshot(folder.path, tree);
    const dropped = await restore(snapshot, { target: join(allowed, 'plain') });
    expect(dropped.setuidDropped).toBe(3 * 1024);
    await expectRestored(join(allowed, 'plain'), tree);
    const kept = await restore(snapshot, { target: join(allowed, 'kept'), allowSetuid: true });
    expect(kept.setuidDropped).toBe(0);
    await expectRestored(join(allowed, 'kept'), tree, { setuid: true });
  });

  it('gives a directory its mtime back although its children come much later', async () => {
    const tree: TreeEntry[] = [
      root,
      { path: 'a', type: 'directory', mtimeNs: 1n },
      { path: 'b', type: 'directory', mtimeNs: 2n },
      { path: 'b/file', type: 'file' },
      { path: 'a/file', type: 'file' },
    ];
    await restore(await makeSnapshot(folder.path, tree));
    await expectRestored(join(allowed, 'target'), tree);
  });

  it('restores the true length of a file that shrank', async () => {
    const snapshot = await makeSnapshot(folder.path, [
      root,
      { path: 'shrank', type: 'file', data: 'left', announcedBytes: 200_000 },
      { path: 'gone', type: 'file', announcedBytes: 1000 },
    ]);
    expect((await restore(snapshot)).bytes).toBe(4);
    expect(await readFile(join(allowed, 'target/shrank'), 'utf8')).toBe('left');
    expect(await readFile(join(allowed, 'target/gone'), 'utf8')).toBe('');
  });

  it('restores paths beyond what a system call takes', async () => {
    const deep: string[] = [];
    const tree: TreeEntry[] = [root];
    for (let level = 0; level < 34; level += 1) {
      deep.push(`${level}-`.padEnd(255, 'd'));
      tree.push({ path: deep.join('/'), type: 'directory', mode: 0o750 - level, mtimeNs: BigInt(level) });
    }
    const bottom = deep.join('/');
    const atLevel = (level: number) => deep.slice(0, level).join('/');
    tree.push({ path: `${bottom}/file`, type: 'file', data: 'deep down' });
    tree.push({ path: `${bottom}/${'f'.repeat(255)}`, type: 'file', data: 'long' });
    tree.push({ path: `${bottom}/beside`, type: 'hardlink', target: `${bottom}/file` });
    tree.push({ path: `${bottom}/link`, type: 'symlink', target: '../..' });
    tree.push({ path: `${atLevel(16)}/higher`, type: 'hardlink', target: `${bottom}/file` });
    tree.push({ path: 'top', type: 'hardlink', target: `${bottom}/file` });
    tree.push({ path: 'zz', type: 'file', data: 'shallow' });
    expect(bottom.length).toBeGreaterThan(8192);
    await restore(await makeSnapshot(folder.path, tree));
    // Walked down by `cd -P`, for Node cannot name it either.
    const target = join(allowed, 'target');
    expect((await stat(target, { bigint: true })).mtimeNs).toBe(root.mtimeNs);
    const listing = await findAll(target);
    const expected = new Map(tree.map((entry) => [entry.path === '.' ? '' : String(entry.path), entry]));
    expect([...listing.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [path, found] of listing) {
      const entry = expected.get(path);
      if (entry?.type === 'directory') {
        expect([path.length, found.mode, found.mtimeNs]).toEqual([path.length, entry.mode, entry.mtimeNs]);
      } else if (entry?.type === 'file') {
        expect([path.length, found.mtimeNs, found.size]).toEqual([
          path.length,
          defaultMtimeNs,
          bytesOf(entry.data ?? '').length,
        ]);
      }
    }
    const inode = listing.get(`${bottom}/file`)?.inode;
    for (const name of [`${bottom}/beside`, `${atLevel(16)}/higher`, 'top'])
      expect(listing.get(name)?.inode).toBe(inode);
    expect(await readFile(join(target, 'top'), 'utf8')).toBe('deep down');
  });

  it('restores chosen paths with their parents, and nothing else', async () => {
    const tree: TreeEntry[] = [
      root,
      { path: 'a', type: 'directory', mode: 0o700, mtimeNs: 1n },
      { path: 'a/b', type: 'directory', mode: 0o711, mtimeNs: 2n },
      { path: 'a/b/c.txt', type: 'file', data: 'c' },
      { path: 'a/b/d', type: 'directory', mtimeNs: 3n },
      { path: 'a/b/d/e.txt', type: 'file', data: 'e' },
      { path: 'a/bb', type: 'file', data: 'not asked for' },
      { path: Buffer.from('x\xff\\', 'latin1'), type: 'file', data: 'bytes' },
    ];
    const snapshot = await makeSnapshot(folder.path, tree);
    await restore(snapshot, { paths: ['a/b/d/', 'x\\xff\\\\'] });
    const chosen = tree.filter(({ path }) => path !== 'a/b/c.txt' && path !== 'a/bb');
    await expectRestored(join(allowed, 'target'), chosen);
  });

  it('names a path that the snapshot does not have', async () => {
    const snapshot = await makeSnapshot(folder.path, [root, { path: 'a', type: 'file' }]);
    for (const path of ['b', 'a/b', '\\', '/a', '../a']) {
      await expect(restore(snapshot, { paths: ['a', path] })).rejects.toMatchObject({
        code: 'RESTORE_PATH_NOT_FOUND',
        params: { path },
      });
    }
    await expectNothingLeft();
  });

  it('makes a chosen hard link the file itself when its first name is not chosen', async () => {
    const snapshot = await makeSnapshot(folder.path, [
      root,
      { path: 'first', type: 'file', data: 'content', mode: 0o604, mtimeNs: 77n },
      { path: 'link', type: 'symlink', target: 'first' },
      { path: 'sub', type: 'directory' },
      { path: 'sub/one', type: 'hardlink', target: 'first' },
      { path: 'sub/two', type: 'hardlink', target: 'first' },
      { path: 'sub/symlink', type: 'hardlink', target: 'link' },
    ]);
    const result = await restore(snapshot, { paths: ['sub'] });
    await expectRestored(join(allowed, 'target'), [
      root,
      { path: 'sub', type: 'directory' },
      { path: 'sub/one', type: 'file', data: 'content', mode: 0o604, mtimeNs: 77n },
      { path: 'sub/two', type: 'hardlink', target: 'sub/one' },
      { path: 'sub/symlink', type: 'symlink', target: 'first' },
    ]);
    expect(result).toMatchObject({ fileCount: 1, bytes: 7 });
  });

  it('reads only the frames that it needs', async () => {
    const noise = randomBytes(40_000_000);
    const snapshot = await makeSnapshot(folder.path, [
      root,
      { path: 'before', type: 'file', data: noise },
      { path: 'small', type: 'file', data: 'wanted' },
      { path: 'after', type: 'file', data: noise },
    ]);
    const reader = await snapshot.open();
    const signal = new AbortController().signal;
    const common = { allowedRoots: [allowed], allowSetuid: false, runId: 'run', epoch: 1, signal };
    await restoreToDirectory({
      ...common,
      origin: artifactOrigin(reader, ['small']),
      targetPath: join(allowed, 'target'),
    });
    await reader.close();
    expect(await readFile(join(allowed, 'target/small'), 'utf8')).toBe('wanted');
    expect(reader.bytesRead).toBeLessThan(10_000_000);
  });

  it('tells how far it is', async () => {
    const snapshot = await makeSnapshot(folder.path, [
      root,
      { path: 'f', type: 'file', data: Buffer.alloc(5_000_000) },
    ]);
    const seen: { bytesDone: number; filesDone: number }[] = [];
    await restore(snapshot, { onProgress: (status) => seen.push(status) });
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.at(-1)).toMatchObject({
      bytesDone: 5_000_000,
      bytesTotal: 5_000_000,
      filesDone: 1,
      filesTotal: 1,
      currentItem: 'f',
    });
  });
});

describe('a target directory', () => {
  const tree: TreeEntry[] = [root, { path: 'a', type: 'file', data: 'a' }];

  it('may be missing with its parents, or empty', async () => {
    const snapshot = await makeSnapshot(folder.path, tree);
    await restore(snapshot, { target: join(allowed, 'x/y/z') });
    await expectRestored(join(allowed, 'x/y/z'), tree);
    await mkdir(join(allowed, 'empty'), { mode: 0o700 });
    await restore(snapshot, { target: `${join(allowed, 'empty')}/` });
    await expectRestored(join(allowed, 'empty'), tree);
    expect((await readdir(allowed)).sort()).toEqual(['empty', 'x']);
  });

  it('must not hold anything, nor be a file', async () => {
    const snapshot = await makeSnapshot(folder.path, tree);
    await restore(snapshot);
    await expect(restore(snapshot)).rejects.toMatchObject({ code: 'RESTORE_TARGET_NOT_EMPTY' });
    await writeFile(join(allowed, 'file'), 'mine');
    for (const target of ['file', 'file/below']) {
      await expect(restore(snapshot, { target: join(allowed, target) })).rejects.toMatchObject({
        code: 'RESTORE_TARGET_INVALID',
      });
    }
    expect(await readFile(join(allowed, 'file'), 'utf8')).toBe('mine');
    expect((await readdir(allowed)).sort()).toEqual(['file', 'target']);
  });

  it('must be strictly inside an allowed root, symlinks followed', async () => {
    const snapshot = await makeSnapshot(folder.path, tree);
    const outside = join(folder.path, 'outside');
    await mkdir(outside);
    await symlink(outside, join(allowed, 'out'));
    await symlink(join(folder.path, 'not-there'), join(allowed, 'dangling'));
    await symlink('in-real', join(allowed, 'in'));
    await mkdir(join(allowed, 'in-real'));
    const forbidden = [
      allowed,
      outside,
      join(outside, 'x'),
      join(allowed, 'out'),
      join(allowed, 'out/x/y'),
      `${allowed}-sibling/x`,
      '/',
    ];
    for (const target of forbidden) {
      await expect(restore(snapshot, { target })).rejects.toMatchObject({ code: 'PATH_NOT_ALLOWED' });
    }
    await expect(restore(snapshot, { target: join(allowed, 'dangling/x') })).rejects.toMatchObject({
      code: 'RESTORE_TARGET_INVALID',
    });
    expect(await readdir(outside)).toEqual([]);
    // One that leads to where it is allowed is followed.
    await restore(snapshot, { target: join(allowed, 'in/x') });
    await expectRestored(join(allowed, 'in-real/x'), tree);
  });
});

describe('a restore that fails', () => {
  it('leaves nothing behind when the artifact is damaged', async () => {
    const snapshot = await makeSnapshot(folder.path, [
      root,
      { path: 'a', type: 'file', data: Buffer.alloc(3_000_000, 'a') },
      { path: 'b', type: 'file', data: randomBytes(9_000_000) },
    ]);
    const artifact = join(snapshot.directory, 'backup.tar.zst.enc');
    const bytes = await readFile(artifact);
    bytes.writeUInt8(bytes.readUInt8(6_000_000) ^ 1, 6_000_000);
    await writeFile(artifact, bytes);
    await expect(restore(snapshot, { target: join(allowed, 'x/y') })).rejects.toMatchObject({
      code: 'ARTIFACT_CORRUPT',
    });
    await expectNothingLeft();
  });

  it('leaves nothing behind when it is cancelled', async () => {
    const snapshot = await makeSnapshot(folder.path, [
      root,
      { path: 'a', type: 'file', data: Buffer.alloc(30_000_000, 'a') },
    ]);
    const stop = new AbortController();
    const reason = new Error('cancelled by the customer');
    const restoring = restore(snapshot, { signal: stop.signal, onProgress: () => stop.abort(reason) });
    await expect(restoring).rejects.toBe(reason);
    await expectNothingLeft();
  });

  it('removes what killed attempts left, but not what a later one is making', async () => {
    const snapshot = await makeSnapshot(folder.path, [root, { path: 'a', type: 'file', data: 'a' }]);
    for (const name of ['run-1', 'run-2', 'run-4', 'other-1']) {
      await mkdir(join(allowed, `.xvault-restore-${name}.part`, 'half'), { recursive: true });
    }
    await restore(snapshot, { epoch: 3 });
    const left = ['.xvault-restore-other-1.part', '.xvault-restore-run-4.part', 'target'];
    expect((await readdir(allowed)).sort()).toEqual(left);
  });

  it('says STORAGE_FULL before it writes when there is no room', async () => {
    const huge = 2 ** 50;
    const snapshot = await makeSnapshot(folder.path, [root, { path: 'a', type: 'file', data: 'a' }]);
    const reader = await snapshot.open();
    const entries = reader.entries.bind(reader);
    reader.entries = async function* (signal) {
      for await (const entry of entries(signal)) yield entry.type === 'file' ? { ...entry, sizeBytes: huge } : entry;
    };
    const signal = new AbortController().signal;
    const common = { allowedRoots: [allowed], allowSetuid: false, runId: 'run', epoch: 1, signal };
    const restoring = restoreToDirectory({
      ...common,
      origin: artifactOrigin(reader, null),
      targetPath: join(allowed, 'target'),
    });
    await expect(restoring).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await reader.close();
    await expectNothingLeft();
  });
});

describe('a forged snapshot', () => {
  const forgeries: Record<string, TreeEntry[]> = {
    'a path upwards': [root, { path: '../escaped', type: 'file', data: 'x' }],
    'a path that goes up later': [root, { path: 'a', type: 'directory' }, { path: 'a/../../escaped', type: 'file' }],
    'an absolute path': [root, { path: '/tmp/xvault-escaped', type: 'file' }],
    'an empty part': [root, { path: 'a//b', type: 'file' }],
    'a dot part': [root, { path: './a', type: 'file' }],
    'a NUL': [root, { path: 'a\0b', type: 'file' }],
    'a root that is a symlink': [{ path: '.', type: 'symlink', target: '/etc' }],
    'a file below a symlink': [root, { path: 'a', type: 'symlink', target: '..' }, { path: 'a/escaped', type: 'file' }],
    'a file below a symlink that comes later': [
      root,
      { path: 'a', type: 'directory' },
      { path: 'a/escaped', type: 'file' },
      { path: 'a', type: 'symlink', target: '..' },
    ],
    'a file below a symlink of a symlink': [
      root,
      { path: 'a', type: 'symlink', target: '..' },
      { path: 'b', type: 'hardlink', target: 'a' },
      { path: 'b/escaped', type: 'file' },
    ],
    'a hard link to outside': [root, { path: 'a', type: 'hardlink', target: '/etc/passwd' }],
    'a hard link upwards': [root, { path: 'a', type: 'hardlink', target: '../storage' }],
    'a hard link through a symlink': [
      root,
      { path: 'etc', type: 'symlink', target: '/etc' },
      { path: 'a', type: 'hardlink', target: 'etc/passwd' },
    ],
  };
  for (const [what, tree] of Object.entries(forgeries)) {
    it(`with ${what} is refused and writes nothing`, async () => {
      const snapshot = await makeSnapshot(folder.path, tree);
      await expect(restore(snapshot)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
      await expectNothingLeft();
      expect((await readdir(folder.path)).sort()).toEqual(['allowed', 'storage']);
    });
  }

  it('with a hard link to nothing fails and leaves nothing', async () => {
    const snapshot = await makeSnapshot(folder.path, [root, { path: 'a', type: 'hardlink', target: 'nothing' }]);
    await expect(restore(snapshot)).rejects.toMatchObject({ code: 'RESTORE_FAILED' });
    await expect(restore(snapshot, { paths: ['a'] })).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
    await expectNothingLeft();
  });
});

interface Found {
  readonly mode: number;
  readonly mtimeNs: bigint;
  readonly size: number;
  readonly inode: string;
}

/** What `find` sees of a tree of any depth: path → metadata. */
async function findAll(target: string): Promise<Map<string, Found>> {
  const child = startChild({ file: 'find', args: [target, '-printf', '%P\\0%m\\0%T@\\0%s\\0%i\\0'], stdout: 'pipe' });
  const text = Buffer.concat((await child.stdout?.toArray()) ?? []).toString();
  expect((await child.outcome).succeeded).toBe(true);
  const fields = text.split('\0').slice(0, -1);
  const found = new Map<string, Found>();
  for (let at = 0; at < fields.length; at += 5) {
    const [path = '', mode = '', mtime = '', size = '', inode = ''] = fields.slice(at, at + 5);
    const mtimeNs = BigInt(mtime.replace('.', '').slice(0, -1));
    found.set(path, { mode: Number.parseInt(mode, 8), mtimeNs, size: Number(size), inode });
  }
  return found;
}
