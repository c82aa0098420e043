import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareTrees } from './compare-trees.ts';

const foreignName = Buffer.concat([Buffer.from('bytes-'), Buffer.from([0xff, 0xfe])]);
let folder: string;
let first: string;
let second: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xvault-trees-'));
  [first, second] = [join(folder, 'first'), join(folder, 'second')];
  mkdirSync(join(first, 'sub/empty'), { recursive: true });
  writeFileSync(join(first, 'a\nb'), 'hello');
  writeFileSync(join(first, 'sub/large'), Buffer.alloc(3_000_000, 7));
  writeFileSync(Buffer.concat([Buffer.from(`${first}/`), foreignName]), 'x');
  linkSync(join(first, 'a\nb'), join(first, 'sub/linked'));
  symlinkSync('nowhere', join(first, 'dangling'));
  chmodSync(join(first, 'sub/large'), 0o4755);
  execFileSync('cp', ['-a', first, second]);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function differences(): Promise<readonly string[]> {
  return (await compareTrees(first, second)).differences;
}

test('a faithful copy is equal and counted', async () => {
  expect(await compareTrees(first, second, { owners: true })).toEqual({
    files: 4,
    bytes: 3_000_011,
    entries: 7,
    leftOut: 0,
    differences: [],
  });
});

test.each<[string, () => void, RegExp]>([
  ['contents', () => rewriteKeepingTime('sub/large', 2_999_999), /"sub\/large" has other contents/],
  ['a size', () => rewriteKeepingTime('sub/large', undefined), /"sub\/large" size 3000000, became 1/],
  ['a mode', () => chmodSync(join(second, 'sub/large'), 0o755), /mode 4755, became 0755/],
  [
    'a nanosecond',
    () => touch('sub/large', '2001-02-03T04:05:06.123456789Z'),
    /mtime \d+ ns, became 981173106123456789/,
  ],
  ['a symlink', () => repoint('dangling'), /"dangling" points elsewhere/],
  ['a hard link', () => split('sub/linked'), /"sub\/linked" is not a hard link of the same file/],
  ['a missing file', () => unlinkSync(join(second, 'sub/large')), /"sub\/large" is missing/],
  ['one file more', () => writeFileSync(join(second, 'more'), ''), /more" is not in the original/],
  ['a kind', () => replaceByDirectory('dangling'), /"dangling" is a symlink, became a directory/],
])('sees %s', async (_, change, expected) => {
  change();
  expect((await differences()).join('\n')).toMatch(expected);
});

test('sees a changed name that is not UTF-8', async () => {
  const inSecond = (name: Buffer) => Buffer.concat([Buffer.from(`${second}/`), name]);
  const other = Buffer.concat([Buffer.from('bytes-'), Buffer.from([0xff, 0xfd])]);
  renameSync(inSecond(foreignName), inSecond(other));
  expect(await differences()).toEqual([
    expect.stringMatching(/is missing$/),
    expect.stringMatching(/is not in the original$/),
  ]);
});

test('leaves out pipes of the original', async () => {
  execFileSync('mkfifo', [join(first, 'sub/empty/pipe')]);
  execFileSync('touch', ['-r', join(second, 'sub/empty'), join(first, 'sub/empty')]);
  expect(await compareTrees(first, second)).toMatchObject({ leftOut: 1, differences: [] });
});

function touch(name: string, time: string): void {
  execFileSync('touch', ['-h', '-d', time, join(second, name)]);
}

function rewriteKeepingTime(name: string, changedAt: number | undefined): void {
  const contents = changedAt === undefined ? Buffer.from('x') : Buffer.alloc(3_000_000, 7);
  if (changedAt !== undefined) contents[changedAt] = 8;
  writeFileSync(join(second, name), contents);
  execFileSync('touch', ['-r', join(first, name), join(second, name)]);
}

function repoint(name: string): void {
  unlinkSync(join(second, name));
  symlinkSync('elsewhere', join(second, name));
}

function split(name: string): void {
  unlinkSync(join(second, name));
  execFileSync('cp', ['-p', join(first, name), join(second, name)]);
}

function replaceByDirectory(name: string): void {
  unlinkSync(join(second, name));
  mkdirSync(join(second, name));
}
