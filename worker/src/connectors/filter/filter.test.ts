import { describe, expect, test } from 'vitest';
import { createFilter } from './filter.ts';

function judge(patterns: { include?: string[]; exclude?: string[] }, path: string | Buffer): string {
  const filter = createFilter({ include: patterns.include ?? [], exclude: patterns.exclude ?? [] });
  const isDirectory = path.at(-1) === '/' || path.at(-1) === 0x2f;
  const bytes = Buffer.from(path);
  return filter.judge(isDirectory ? bytes.subarray(0, -1) : bytes, isDirectory);
}

describe('exclude', () => {
  test.each<[string[], string, string]>([
    [['*.log'], 'a.log', 'skip'],
    [['*.log'], 'deep/er/a.log', 'skip'],
    [['*.log'], 'a.log/', 'prune'],
    [['*.log'], 'a.logs', 'take'],
    [['cache'], 'www/cache/x', 'skip'],
    [['cache/'], 'cache', 'take'],
    [['cache/'], 'cache/', 'prune'],
    [['cache/'], 'www/cache/x/y', 'skip'],
    [['/tmp'], 'tmp/', 'prune'],
    [['/tmp'], 'www/tmp/', 'take'],
    [['a/b'], 'a/b', 'skip'],
    [['a/b'], 'x/a/b', 'take'],
    [['**/a/b'], 'x/a/b', 'skip'],
    [['**/a/b'], 'a/b', 'skip'],
    [['a/**/b'], 'a/b', 'skip'],
    [['a/**/b'], 'a/x/y/b', 'skip'],
    [['a/**'], 'a/', 'take'],
    [['a/**'], 'a/x', 'skip'],
    [['a/*'], 'a/x/', 'prune'],
    [['a/*'], 'a/x/y', 'skip'],
    [['*/x'], 'a/b/x', 'take'],
    [['*.log', '!keep.log'], 'keep.log', 'take'],
    [['!keep.log', '*.log'], 'keep.log', 'skip'],
    [['logs/', '!logs/keep.log'], 'logs/keep.log', 'skip'],
    [['logs/*', '!logs/keep.log'], 'logs/keep.log', 'take'],
    [['a?c'], 'abc', 'skip'],
    [['a?c'], 'a/c', 'take'],
    [['[a-c]x'], 'bx', 'skip'],
    [['[!a-c]x'], 'bx', 'take'],
    [['[[:digit:]]*'], '7up', 'skip'],
    [['[]x]'], ']', 'skip'],
    [['[ab'], '[ab', 'take'],
    [['\\*'], '*', 'skip'],
    [['\\*'], 'a', 'take'],
    [['#comment', ''], '#comment', 'take'],
    [['\\#x'], '#x', 'skip'],
    [['\\!x'], '!x', 'skip'],
    [['x  '], 'x', 'skip'],
    [['x\\ '], 'x ', 'skip'],
    [['a\\'], 'a', 'take'],
    [['*'], '.', 'take'],
    [['*'], 'x/', 'prune'],
  ])('%j on %s: %s', (exclude, path, verdict) => {
    expect(judge({ exclude }, path)).toBe(verdict);
  });
});

describe('include', () => {
  test.each<[string[], string, string]>([
    [['/www'], 'www/', 'take'],
    [['/www'], 'www/a/b', 'take'],
    [['/www'], 'etc/', 'prune'],
    [['/www'], 'x', 'skip'],
    [['/var/www'], 'var/', 'skip'],
    [['/var/www'], 'var/log/', 'prune'],
    [['/var/*/html'], 'var/x/', 'skip'],
    [['/var/**/html'], 'var/x/y/', 'skip'],
    [['*.php'], 'deep/', 'skip'],
    [['*.php'], 'deep/a.php', 'take'],
    [['*.php'], 'deep/a.txt', 'skip'],
    [['/www', '!/www/cache'], 'www/cache/x', 'skip'],
    [['/www', '!/www/cache', '/www/cache/keep'], 'www/cache/keep', 'take'],
    [['/www', '!/www/cache', '/www/cache/keep'], 'www/cache/', 'skip'],
    [['!/www'], 'www/', 'prune'],
  ])('%j on %s: %s', (include, path, verdict) => {
    expect(judge({ include }, path)).toBe(verdict);
  });

  test('what is excluded is not included', () => {
    const patterns = { include: ['/www'], exclude: ['*.log', '/www/tmp/'] };
    expect(judge(patterns, 'www/a.log')).toBe('skip');
    expect(judge(patterns, 'www/tmp/')).toBe('prune');
    expect(judge(patterns, 'www/index.php')).toBe('take');
  });
});

test('names are bytes: any of them can be left out', () => {
  const name = Buffer.from([0x64, 0xff, 0x0a, 0x2e, 0x6c, 0x6f, 0x67]);
  expect(judge({ exclude: ['*.log'] }, name)).toBe('skip');
  expect(judge({ exclude: ['d??.log'] }, name)).toBe('skip');
  expect(judge({ exclude: ['é'] }, 'é')).toBe('skip');
});

test('patterns made to run for ever do not', () => {
  const exclude = [`${'*a'.repeat(200)}b`, `/${'**/a*a*/'.repeat(100)}b`];
  const deep = Array.from({ length: 100 }, () => 'a'.repeat(40)).join('/');
  expect(judge({ exclude }, 'a'.repeat(255))).toBe('take');
  expect(judge({ exclude }, deep)).toBe('take');
});
