import { expect, test } from 'vitest';
import { createFilter } from './filter.ts';
import { plainExclusions } from './plain.ts';

const plain = (...exclude: string[]) =>
  plainExclusions(createFilter({ include: [], exclude })).map(
    ({ of, directoriesOnly, text }) => `${of} ${text}${directoriesOnly ? ' (directories)' : ''}`,
  );

test('names and whole paths are plain, wildcards are not', () => {
  expect(plain('cache', 'tmp/', '/var/log', 'a/b', '/top', 'with\\*star', '# none', '')).toEqual([
    ...['name cache', 'name tmp (directories)', 'path var/log', 'path a/b', 'path top', 'name with*star'],
  ]);
  expect(plain('*.log', 'a/*/b', '**/x', 'a/**', '?', '[ab]', 'a//b')).toEqual([]);
});

test('where a pattern takes something back, none may be followed blindly', () => {
  expect(plain('cache', '!cache/keep')).toEqual([]);
});
