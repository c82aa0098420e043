import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { syncOptions } from '@xvault/shared/sync-options.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFilter } from '../../connectors/filter/filter.ts';
import { createAddressGuard } from '../../net/guard.ts';
import { rcloneFilter } from './filter.ts';
import { openRcloneRun, type RcloneRun } from './open-run.ts';
import { makeRunDirectory } from './rclone/run-directory.ts';
import { listSource } from './source-listing.ts';
import { fromStandardName } from './standard-names.ts';
import { localSide } from './sync.test-kit.ts';

interface Patterns {
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
}

const files = [
  ...['a.pdf', 'a.log', 'keep.log', 'x]', '[a', '!a.txt', '#a.txt', 'a b.txt', 'a,b.txt', 'line\nend.txt', 'end '],
  ...[
    '{x}.txt',
    'x.txt',
    'a*b',
    'a+b',
    'a\\b',
    '(a|b)^$.txt',
    'é.txt',
    'я.txt',
    'ab',
    'Ab',
    '-',
    '7up',
    'tab\there',
    'del\u{7f}',
    '␊',
  ],
  ...['node_modules/x', 'cache/x', 'cache/deep/y', 'cache/line\nend/z', 'sub/cache/z', 'sub/a.log', 'sub/b.pdf'],
  ...[
    'sub/keep.log/a.log',
    'sub/keep.log/two.txt',
    'a.log.d/keep.log',
    'logs/a.log/keep.log',
    'logs/keep',
    'logs/one/two',
  ],
  ...['a/b', 'a/x/b', 'a/x/y/b', 'x/a/b', 'x/a/c', 'deep/er/node_modules/x', 'deep/er/cache', '{x}/f', 'f/{x}'],
];

let root: string;
let source: string;
let directory: Awaited<ReturnType<typeof makeRunDirectory>>;
let run: RcloneRun;
const signal = new AbortController().signal;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'xvault-sync-filter-'));
  source = join(root, 'source');
  for (const file of files) {
    await mkdir(dirname(join(source, file)), { recursive: true });
    await writeFile(join(source, file), '');
  }
  execFileSync('git', ['init', '-q', join(root, 'git')]);
  directory = await makeRunDirectory();
  const guard = createAddressGuard({ allow: [] });
  const given = { binary: 'rclone', directory, guard, source: localSide(source), crypt: null, signal };
  run = await openRcloneRun({ ...given, onLine: () => undefined });
});
afterAll(async () => {
  await run?.close();
  await directory?.remove();
  await rm(root, { recursive: true, force: true });
});

async function takenByRclone(patterns: Patterns): Promise<string[]> {
  const filter = rcloneFilter(syncOptions.parse(patterns));
  const from = { rc: run.rclone.rc, fs: run.srcFs, withMtime: false, isBucket: false, filter, signal };
  return [...(await listSource(from)).objects.keys()].map(fromStandardName).sort();
}

function takenByArchives({ include = [], exclude = [] }: Patterns): string[] {
  const { judge } = createFilter({ include, exclude });
  return files.filter((file) => judge(Buffer.from(file), false) === 'take').sort();
}

async function leftByGit(lines: readonly string[]): Promise<string[]> {
  const git = join(root, 'git');
  await writeFile(join(git, '.git/info/exclude'), `${lines.join('\n')}\n`);
  const args = ['-c', 'core.excludesFile=/dev/null', '-C', git, 'check-ignore', '-z', '--no-index', '--stdin'];
  const { status, stdout, stderr } = spawnSync('git', args, { input: files.join('\0'), encoding: 'utf8' });
  // 0 is some, 1 is none.
  if (status !== 0 && status !== 1) throw new Error(`git check-ignore: ${stderr}`);
  const ignored = new Set(stdout.split('\0'));
  return files.filter((file) => !ignored.has(file)).sort();
}

const excludes = [
  ...[['*.log'], ['*.log', '!keep.log'], ['!keep.log', '*.log'], ['**/node_modules'], ['**/*.pdf'], ['/cache']],
  ...[
    ['cache/'],
    ['cache'],
    ['/sub/cache/'],
    ['a/**/b'],
    ['a/**'],
    ['**/a/b'],
    ['a/b'],
    ['x/*'],
    ['*/b'],
    ['*'],
    ['**'],
  ],
  ...[['/**'], ['*/'], ['*/', '!keep.log/'], ['*', '!keep.log'], ['logs/*', '!logs/keep'], ['logs/', '!logs/keep']],
  ...[['x]'], ['[[]a'], ['\\[a'], ['[!a]b'], ['[^a]b'], ['[a-c]b'], ['[[:digit:]]*'], ['[]x]'], ['[a/]b'], ['[z-a]b']],
  ...[
    ['[-x]'],
    ['[a-]'],
    ['?b'],
    ['a?b'],
    ['a\\*b'],
    ['a+b'],
    ['a\\\\b'],
    ['(a|b)^$.txt'],
    ['{x}.txt'],
    ['{x}'],
    ['{a,x}*'],
  ],
  ...[
    ['#a.txt'],
    ['\\#a.txt'],
    ['\\!a.txt'],
    ['a b.txt'],
    ['a,b.txt'],
    ['end '],
    ['end\\ '],
    ['line*'],
    ['*end'],
    ['é.txt'],
  ],
  ...[
    ['**/line*'],
    ['cache/**'],
    ['cache/**/z'],
    ['a.log/'],
    ['.txt'],
    ['*.*'],
    ['**.txt'],
    ['a**b'],
    ['A*'],
    ['/a/x/'],
    ['tab\there'],
    ['tab[\t]here'],
    ['␊'],
  ],
  ...[['tab[[:cntrl:]]here'], ['line[[:space:]]*'], ['tab[!a-z]here']],
];

describe.each<[string, (lines: readonly string[]) => string[] | Promise<string[]>]>([
  ['the archive engine', (lines) => takenByArchives({ exclude: lines })],
  ['git', leftByGit],
])('what rclone leaves out is what %s leaves out', (_, left) => {
  it.each(excludes.map((lines) => ({ lines })))('$lines', async ({ lines }) => {
    expect(await takenByRclone({ exclude: lines })).toEqual(await left(lines));
  });
});

it.each<Patterns>([
  { include: ['*.pdf'] },
  { include: ['**/*.pdf'] },
  { include: ['/sub'], exclude: ['*.log'] },
  { include: ['/sub/'] },
  { include: ['a/x'] },
  { include: ['a/**'] },
  { include: ['a/**/b', '/deep/*/cache'] },
  { include: ['cache'] },
  { include: ['cache/', '/x.txt'], exclude: ['/cache/deep'] },
  { include: ['/cache/line*'] },
  { include: ['{x}', '[[:digit:]]*'] },
  { include: ['nothing'] },
  { include: ['# only this', '/a'] },
  { include: ['/logs', '/keep.log'], exclude: ['a.log'] },
])('what rclone takes is what the archive engine takes by %j', async (patterns) => {
  expect(await takenByRclone(patterns)).toEqual(takenByArchives(patterns));
});

it('a pattern that git gives up on matches nothing', async () => {
  expect(await takenByRclone({ exclude: ['[a', 'a\\', '[[:x:]]', '/', '!', 'a//b', './ab'] })).toEqual(
    [...files].sort(),
  );
  expect(await takenByRclone({ include: ['[a'] })).toEqual([]);
});

it('takes as many patterns as there may be, however alike they are', async () => {
  const alike = Array.from({ length: 1000 }, (_, index) => 'x'.repeat(index + 2));
  const names = Array.from({ length: 1000 }, (_, index) => `*.${index}/**/no`);
  expect(await takenByRclone({ exclude: [...alike.slice(1), 'ab'] })).toEqual(takenByArchives({ exclude: ['ab'] }));
  expect(await takenByRclone({ exclude: alike.slice(500).flatMap((one) => [one, `!${one}`]) })).toEqual(
    [...files].sort(),
  );
  expect(await takenByRclone({ include: ['/a'.repeat(2000), '/a/x/b', `/${'a*'.repeat(2000)}`] })).toEqual(['a/x/b']);
  expect(await takenByRclone({ include: Array(60).fill('/a'.repeat(2000)).concat('/a/x/b') })).toEqual(['a/x/b']);
  expect(await takenByRclone({ exclude: ['*', '*', '*/', '**'] })).toEqual([]);
  expect(await takenByRclone({ include: [...names.slice(500), ...alike.slice(501), 'ab'] })).toEqual(['ab']);
});

it('takes characters, where the archive engine takes bytes', async () => {
  expect(await takenByRclone({ include: ['?.txt'] })).toEqual(['x.txt', 'é.txt', 'я.txt']);
  expect(await takenByRclone({ include: ['[а-я].txt'] })).toEqual(['я.txt']);
  expect(await takenByRclone({ include: ['[!а-я].txt'] })).toEqual(['x.txt', 'é.txt']);
});

const piece = fc.constantFrom(
  ...[
    'a',
    'b',
    'x',
    'keep',
    'cache',
    '.',
    '.log',
    ' ',
    ',',
    '{',
    '}',
    '{{',
    '}}',
    '+',
    '|',
    '(',
    '^',
    '$',
    '-',
    '#',
    'é',
  ],
  ...[
    '*',
    '**',
    '?b',
    '[a-c]',
    '[!a]x',
    '[^x]b',
    '[a',
    ']',
    '[]x]',
    '\\*',
    '\\[',
    '\\',
    '/',
    '/',
    '/**/',
    '[[:alpha:]]',
  ],
);
const line = fc
  .tuple(
    fc.constantFrom('', '', '/', '**/'),
    fc.array(piece, { minLength: 1, maxLength: 5 }),
    fc.constantFrom('', '', '/', '/**'),
  )
  .map(([head, middle, tail]) => head + middle.join('') + tail);
const negatable = fc.tuple(fc.constantFrom('', '', '!'), line).map(([sign, text]) => sign + text);

it('takes by any patterns what the archive engine takes by them', { timeout: 120_000 }, async () => {
  const anyPatterns = fc.oneof(
    fc.record({ exclude: fc.array(negatable, { minLength: 1, maxLength: 5 }) }),
    fc.record({ include: fc.array(line, { minLength: 1, maxLength: 4 }), exclude: fc.array(line, { maxLength: 3 }) }),
  );
  const property = fc.asyncProperty(anyPatterns, async (patterns) => {
    expect(await takenByRclone(patterns)).toEqual(takenByArchives(patterns));
  });
  await fc.assert(property, { numRuns: 400 });
});
