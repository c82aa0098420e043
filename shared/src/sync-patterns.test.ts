import { describe, expect, it } from 'vitest';
import { syncOptions } from './sync-options.ts';
import { syncPatternFaults } from './sync-patterns.ts';

const pathsOf = (patterns: object) => syncPatternFaults(syncOptions.parse(patterns)).map(({ path }) => path);

describe('patterns of a sync', () => {
  it.each([
    ['*.log'],
    ['**/node_modules'],
    ['/a/**/b'],
    ['x]'],
    ['{a,b}'],
    ['[]x]'],
    ['[!a-z]'],
    ['[[:alpha:]]'],
    ['[а-я]'],
    ['a\\ '],
    ['\\#a'],
    ['\\!a'],
    ['...'],
    ['.*'],
    ['a b,c'],
    ['[a/b]'],
    ['**/'],
  ])('takes %j', (pattern) => {
    expect(syncPatternFaults({ include: [pattern], exclude: [] })).toEqual([]);
    expect(syncPatternFaults({ include: [], exclude: [pattern, `!${pattern}`] })).toEqual([]);
  });

  it.each([
    ['[a', 'has a bracket that is not closed'],
    ['[]', 'has a bracket that is not closed'],
    ['[a\\', 'has a bracket that is not closed'],
    ['[a-', 'has a bracket that is not closed'],
    ['[[:alpha:]', 'has a bracket that is not closed'],
    ['[[:word:]]', 'names a class that there is not'],
    ['a\\', 'ends in a backslash'],
    ['/', 'names nothing'],
    ['a//b', 'has an empty name in it'],
    ['./a', 'is of paths below the root, in which no name is . or ..'],
    ['../a', 'is of paths below the root, in which no name is . or ..'],
    ['a/..', 'is of paths below the root, in which no name is . or ..'],
  ])('refuses %j', (pattern, message) => {
    expect(syncPatternFaults({ include: [], exclude: ['ok', pattern] })).toEqual([{ path: 'exclude.1', message }]);
    expect(syncPatternFaults({ include: ['ok', pattern], exclude: [] })).toEqual([{ path: 'include.1', message }]);
  });

  it('takes back in by exclude alone, without include', () => {
    expect(pathsOf({ exclude: ['*.log', '!keep.log'] })).toEqual([]);
    expect(pathsOf({ include: ['/a'], exclude: ['*.log', '!keep.log'] })).toEqual(['exclude.1']);
    expect(pathsOf({ include: ['/a', '!/a/b'] })).toEqual(['include.1']);
    expect(pathsOf({ exclude: ['!'] })).toEqual(['exclude.0']);
  });

  it('passes over comments, but an include must say something', () => {
    expect(pathsOf({ include: ['# mine', '/a'], exclude: ['# theirs', ' '] })).toEqual([]);
    expect(pathsOf({ include: ['# mine'] })).toEqual(['include']);
  });

  it('names every fault', () => {
    expect(pathsOf({ include: ['[a', '/'], exclude: ['a\\'] })).toEqual(['exclude.0', 'include.0', 'include.1']);
  });

  it('takes no line that is more than one', () => {
    expect(syncOptions.safeParse({ exclude: ['a\nb'] }).success).toBe(false);
  });
});
