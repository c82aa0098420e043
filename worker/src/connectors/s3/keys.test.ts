import { expect, test } from 'vitest';
import { decodeListedKey, keyToPath, pathToKey } from './keys.ts';

test.each(['a', 'a/b', '.hidden', '...', 'a b/c+d', 'line\nbreak', 'ü/🗄️', 'n'.repeat(255)])('%j is a path', (key) => {
  expect(keyToPath(key)).toEqual({ path: Buffer.from(key), isDirectory: false });
  expect(keyToPath(`${key}/`)).toEqual({ path: Buffer.from(key), isDirectory: true });
});

test.each([
  '',
  '/',
  '/a',
  'a//b',
  'a//',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/..',
  './a',
  'a/./b',
  'a\0b',
  'n'.repeat(256),
  `${'ü'.repeat(128)}/a`,
])('%j is none', (key) => {
  expect(keyToPath(key)).toEqual({ reason: expect.any(String) });
});

test('listed keys are decoded, and names that are not UTF-8 are no keys', () => {
  expect(decodeListedKey('a+b%2Bc%0Ad/%C3%BC')).toBe('a b+c\nd/ü');
  expect(pathToKey(Buffer.from('ü'))).toBe('ü');
  expect(pathToKey(Buffer.from([0x61, 0xff]))).toBeUndefined();
});
