import { describe, expect, it } from 'vitest';
import { globPattern } from './browse-glob.ts';

const file = () => false;

describe('patterns of a search', () => {
  it.each([
    ['*.log', ['a.log', 'x/y.log', '.log'], ['a.logs', 'a.log/x']],
    ['/*.log', ['a.log'], ['x/a.log']],
    ['etc/*.conf', ['etc/a.conf'], ['x/etc/a.conf', 'etc/x/a.conf']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['b', 'a/x', 'x/a/b']],
    ['**/b', ['b', 'x/b', 'x/y/b'], ['xb', 'b/x']],
    ['a/**', ['a/x', 'a/x/y'], ['a', 'b/a/x']],
    ['**', ['a', 'a/b'], []],
    ['a?c', ['abc', 'x/a€c', 'a😀c'], ['ac', 'abbc', 'a/c']],
    ['[a-c]x', ['ax', 'bx', 'cx'], ['dx', 'x', '-x']],
    ['[!a-c]x', ['dx', '-x'], ['ax', 'x']],
    ['[]a]x', [']x', 'ax'], ['x', 'bx']],
    ['a\\*b', ['a*b'], ['axb']],
    ['*a*b*', ['ab', 'xaxbx'], ['ba']],
    ['a*b*c', ['abc', 'aXbXc', 'abcbc'], ['abcb', 'xabc']],
    ['a**b', ['ab', 'axxb'], ['a/b']],
  ])('%s', (glob, fitting, others) => {
    const pattern = globPattern(glob);
    expect(fitting.filter((path) => !pattern.matches(path, file))).toEqual([]);
    expect(others.filter((path) => pattern.matches(path, file))).toEqual([]);
  });

  it('with a slash at its end means directories', () => {
    const pattern = globPattern('cache/');
    expect(pattern.matches('x/cache', () => true)).toBe(true);
    expect(pattern.matches('x/cache', () => false)).toBe(false);
  });

  it.each(['[a', 'a//b', '/', 'a\\'])('%s is none', (glob) => {
    expect(() => globPattern(glob)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  });

  it('takes no exponential time', () => {
    const pattern = globPattern(`${'*a'.repeat(200)}b`);
    expect(pattern.matches('a'.repeat(4000), file)).toBe(false);
    expect(globPattern(`${'**/a/'.repeat(200)}b`).matches('a/'.repeat(4000), file)).toBe(false);
  });
});
