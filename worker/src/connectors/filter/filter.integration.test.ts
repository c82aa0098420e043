import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFilter } from './filter.ts';

// Every path of up to three of these names is asked for; the last name as a file and as a directory.
const names = ['a', 'b', 'ab', 'a.b', 'b c', '[a]', '!a', '*'];
const directories = names.flatMap((one) => [one, ...names.slice(0, 4).map((two) => `${one}/${two}`)]);
const files = directories.flatMap((directory) => names.slice(0, 6).map((name) => `${directory}/f${name}`));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'xvault-filter-'));
  execFileSync('git', ['init', '-q', folder]);
  for (const directory of directories) mkdirSync(join(folder, directory), { recursive: true });
  for (const file of files) writeFileSync(join(folder, file), '');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function ignoredByGit(lines: readonly string[]): Set<string> {
  writeFileSync(join(folder, '.git/info/exclude'), `${lines.join('\n')}\n`);
  const input = [...directories, ...files].join('\0');
  const args = ['-c', 'core.excludesFile=/dev/null', '-C', folder, 'check-ignore', '-z', '--no-index', '--stdin'];
  const { status, stdout, stderr } = spawnSync('git', args, { input, encoding: 'utf8' });
  // 0 is some, 1 is none.
  if (status !== 0 && status !== 1) throw new Error(`git check-ignore: ${stderr}`);
  return new Set(stdout.split('\0').filter((path) => path !== ''));
}

const piece = fc.constantFrom(
  'a',
  'b',
  'f',
  'c',
  '.',
  ' ',
  '*',
  '**',
  '?',
  '[ab]',
  '[!a]',
  '[a',
  '\\*',
  '\\[',
  'fa',
  '/',
);
const line = fc
  .tuple(
    fc.constantFrom('', '', '', '!', '/', '**/', '\\!'),
    fc.array(piece, { minLength: 1, maxLength: 6 }),
    fc.constantFrom('', '', '/', '/**', ' '),
  )
  .map(([head, middle, tail]) => head + middle.join('') + tail)
  // An empty name between two slashes is in no path; and for `**` beside something else git (2.39) compares unrelated pointers.
  .filter((text) => !text.includes('//') && !/[^/]\*\*|\*\*[^/ ]/.test(text.replace(/^!/, '')));

test('excludes exactly what git check-ignore names', () => {
  const property = fc.property(fc.array(line, { minLength: 1, maxLength: 5 }), (exclude) => {
    const ignored = ignoredByGit(exclude);
    const { judge } = createFilter({ include: [], exclude });
    const ours = [
      ...directories.filter((path) => judge(Buffer.from(path), true) !== 'take'),
      ...files.filter((path) => judge(Buffer.from(path), false) !== 'take'),
    ];
    expect(ours.sort()).toEqual([...ignored].sort());
  });
  fc.assert(property, { numRuns: 300 });
});
