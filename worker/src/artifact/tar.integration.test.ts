import { lstat, mkdir, readFile, readlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram, temporaryFolder } from './codec.test-kit.ts';
import { encodeTarHeader, type TarMember, tarEndBytes, tarPaddingBytes } from './tar.ts';

const second = 1_000_000_000n;
const defaults = {
  type: 'file',
  sizeBytes: 0,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeNs: second,
  linkTarget: null,
} as const;

function member(path: string | Buffer, more: Partial<TarMember> = {}): TarMember {
  return { ...defaults, path: Buffer.from(path), ...more };
}

function tarOf(...members: readonly (readonly [TarMember, Buffer])[]): Buffer {
  const parts = members.flatMap(([entry, content]) => {
    const header = encodeTarHeader({ ...entry, sizeBytes: content.length });
    return [header, content, Buffer.alloc(tarPaddingBytes(content.length))];
  });
  return Buffer.concat([...parts, Buffer.alloc(tarEndBytes)]);
}

const empty = Buffer.alloc(0);
const text = Buffer.from('content\n');

/** Extracts with the real tar, which must have no word to say but on strange times and the keyword that only others know. */
async function extracted(tar: Buffer, into: string): Promise<void> {
  const script =
    'words=$(tar -xp --warning=no-timestamp --warning=no-unknown-keyword -C "$0" -f - 2>&1) && test -z "$words"';
  await runProgram('sh', ['-c', script, into], tar);
}

describe('GNU tar reads back', () => {
  test.each([
    ['a plain name', Buffer.from('plain.txt')],
    ['a name of 100 bytes', Buffer.from('n'.repeat(100))],
    ['a name of 101 bytes', Buffer.from('n'.repeat(101))],
    ['a name of 255 bytes', Buffer.from('n'.repeat(255))],
    ['a name of 255 bytes that is not UTF-8', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.alloc(253, 'n')])],
    ['a short name that is not UTF-8', Buffer.from([0x61, 0xff, 0x80, 0x62])],
    ['line breaks, quotes, backslashes, emoji', Buffer.from('a\nb "c" \'d\' \\ 🎉\t')],
    ['a long name with line breaks and equals signs', Buffer.from('x=1\n27 mtime=5\n'.repeat(15))],
    ['a leading dash', Buffer.from('-rf')],
  ])('%s', async (_what, name) => {
    await using folder = await temporaryFolder();
    await extracted(tarOf([member(name), text]), folder.path);
    expect(await readFile(Buffer.concat([Buffer.from(`${folder.path}/`), name]))).toEqual(text);
  });

  test.each([
    0n,
    1n,
    -1n,
    -second,
    (-second * 3n) / 2n,
    -86_400n * 365n * 30n * second + 123_456_789n,
    1_700_000_000n * second + 987_654_321n,
    253_402_300_799n * second,
  ])('an mtime of %d ns', async (mtimeNs) => {
    await using folder = await temporaryFolder();
    await extracted(
      tarOf([member('f', { mtimeNs }), text], [member('d', { type: 'directory', mtimeNs }), empty]),
      folder.path,
    );
    const kept = await keptTime(folder.path, mtimeNs);
    expect((await lstat(join(folder.path, 'f'), { bigint: true })).mtimeNs).toBe(kept);
    expect((await lstat(join(folder.path, 'd'), { bigint: true })).mtimeNs).toBe(kept);
  });

  test('every permission bit', async () => {
    await using folder = await temporaryFolder();
    const modes = [0, 0o1, 0o444, 0o600, 0o755, 0o1777, 0o2755, 0o4755, 0o7777];
    await extracted(tarOf(...modes.map((mode) => [member(`m${mode}`, { mode }), text] as const)), folder.path);
    for (const mode of modes) expect((await lstat(join(folder.path, `m${mode}`))).mode & 0o7777).toBe(mode);
  });

  test('symlinks and hard links with targets of any bytes and length', async () => {
    await using folder = await temporaryFolder();
    const odd = Buffer.concat([Buffer.from([0xff]), Buffer.from('\n/'), Buffer.alloc(300, 't')]);
    const first = Buffer.concat([Buffer.from([0xfe]), Buffer.alloc(200, 'h')]);
    await extracted(
      tarOf(
        [member('short', { type: 'symlink', linkTarget: Buffer.from('/nowhere') }), empty],
        [member('long', { type: 'symlink', linkTarget: odd }), empty],
        [member(first), text],
        [member('second', { type: 'hardlink', linkTarget: first }), empty],
      ),
      folder.path,
    );
    expect(await readlink(join(folder.path, 'short'))).toBe('/nowhere');
    expect(await readlink(join(folder.path, 'long'), 'buffer')).toEqual(odd);
    const original = await lstat(Buffer.concat([Buffer.from(`${folder.path}/`), first]));
    expect((await lstat(join(folder.path, 'second'))).ino).toBe(original.ino);
  });

  test('deep paths, and the root itself with its mode and time', async () => {
    await using folder = await temporaryFolder();
    const root = join(folder.path, 'root');
    await mkdir(root);
    const parts = Array.from({ length: 12 }, (_, at) => `${at}-${'d'.repeat(200)}`);
    const directories = parts.map(
      (_, at) => [member(parts.slice(0, at + 1).join('/'), { type: 'directory', mode: 0o755 }), empty] as const,
    );
    const deep = [...parts, 'leaf'].join('/');
    const top = member('.', { type: 'directory', mode: 0o750, mtimeNs: 5n * second });
    await extracted(tarOf([top, empty], ...directories, [member(deep), text]), root);
    expect(await readFile(join(root, deep))).toEqual(text);
    const stat = await lstat(root, { bigint: true });
    expect([Number(stat.mode) & 0o7777, stat.mtimeNs]).toEqual([0o750, 5n * second]);
  });

  test('content of any length ends where the next member begins', async () => {
    await using folder = await temporaryFolder();
    const lengths = [0, 1, 511, 512, 513, 1024, 10_240];
    const members = lengths.map((length) => [member(`f${length}`), Buffer.alloc(length, 'z')] as const);
    await extracted(tarOf(...members), folder.path);
    for (const length of lengths) expect((await readFile(join(folder.path, `f${length}`))).length).toBe(length);
  });
});

test('GNU tar lists owners and sizes beyond the fields of ustar', async () => {
  await using folder = await temporaryFolder();
  const sizeBytes = 8 * 2 ** 30;
  const tar = join(folder.path, 'big.tar');
  const big = encodeTarHeader(member('big', { sizeBytes, uid: 3_000_000_000, gid: 2_097_152 }));
  await runProgram('sh', ['-c', 'cat > "$0"', tar], big);
  // A hole stands for the content and for the end of the archive.
  await truncate(tar, big.length + sizeBytes + tarEndBytes);
  const listing = (await runProgram('tar', ['-t', '-v', '--numeric-owner', '-f', tar])).toString();
  expect(listing).toMatch(new RegExp(`3000000000/2097152 ${sizeBytes} .* big\n$`));
});

test('the longest values of ustar need no pax header', () => {
  const limits = { uid: 0o7777777, gid: 0o7777777, sizeBytes: 0o77777777777, mtimeNs: 0o77777777777n * second };
  expect(encodeTarHeader(member('n'.repeat(100), limits)).length).toBe(512);
  expect(encodeTarHeader(member('n'.repeat(100), { ...limits, mtimeNs: limits.mtimeNs + 1n })).length).toBe(1536);
});

/** What the file system under the test keeps of a time; asked of `touch`, which knows nothing of tar. */
async function keptTime(folder: string, ns: bigint): Promise<bigint> {
  const path = join(folder, 'touched');
  const positive = ns < 0n ? -ns : ns;
  const decimal = `${positive / second}.${String(positive % second).padStart(9, '0')}`;
  await runProgram('touch', ['-d', `@${ns < 0n ? '-' : ''}${decimal}`, path]);
  return (await lstat(path, { bigint: true })).mtimeNs;
}
