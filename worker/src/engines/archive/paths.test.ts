import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pathToText, textToPath } from '../../artifact/path-text.ts';
import { demandSafePath, parentKeys, parentOf, pathKey } from './paths.ts';
import { anchorOf, hopsOf } from './restore-anchors.ts';

/** Bytes with many of the characters that matter. */
const bytes = fc
  .array(fc.oneof(fc.constantFrom(0x5c, 0x78, 0x25, 0x41, 0xc3, 0xa9, 0xff, 0xf0, 0x9f, 0xa6, 0x8a), fc.nat(255)), {
    maxLength: 40,
  })
  .map((values) => Buffer.from(values));

describe('the text form of a path', () => {
  it('gives back every sequence of bytes', () => {
    fc.assert(fc.property(bytes, (path) => textToPath(pathToText(path))?.equals(path) === true));
  });

  it('is the only one: a text that reads as a path is the form of that path', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const path = textToPath(text);
        return path === undefined || pathToText(path) === text;
      }),
    );
  });

  it('is what people expect', () => {
    expect(pathToText(Buffer.from('naïve/🦊'))).toBe('naïve/🦊');
    expect(pathToText(Buffer.from('a\\b\xff', 'latin1'))).toBe('a\\\\b\\xff');
    for (const text of ['\\', '\\x4', '\\x41', '\\xC3\\xA9', '\ud800']) expect(textToPath(text)).toBeUndefined();
  });
});

describe('safe paths', () => {
  it('lets through what a source can have', () => {
    for (const path of ['.', 'a', 'a/b', '..a', 'a..', '...', 'a/.b', ' ', '-', '\n', '\xff']) {
      expect(() => demandSafePath(Buffer.from(path, 'latin1'))).not.toThrow();
    }
  });

  it('refuses all that could lead elsewhere', () => {
    for (const path of ['', '/', '/a', 'a/', 'a//b', '..', '../a', 'a/..', 'a/../b', './a', 'a/.', 'a\0']) {
      expect(() => demandSafePath(Buffer.from(path, 'latin1'))).toThrow(/damaged/);
    }
  });
});

it('finds the directories above a path', () => {
  expect([...parentKeys('a/bc/d')]).toEqual(['a/bc', 'a']);
  expect([...parentKeys('a')]).toEqual([]);
  expect(String(parentOf(Buffer.from('a/bc/d')))).toBe('a/bc');
  expect(String(parentOf(Buffer.from('a')))).toBe('.');
});

describe('hops', () => {
  const part = fc.integer({ min: 1, max: 255 }).map((length) => 'x'.repeat(length));

  it('join to the path again, and each fits into a system call', () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 120 }), (parts) => {
        const path = Buffer.from(parts.join('/'));
        const hops = hopsOf(path);
        const anchor = anchorOf(path);
        expect(hops.map(pathKey).join('/')).toBe(pathKey(path));
        expect(Math.max(...hops.map((hop) => hop.length))).toBeLessThanOrEqual(3900);
        expect(anchor === null).toBe(path.length <= 3900);
        if (anchor !== null) expect(pathKey(anchor)).toBe(hops.slice(0, -1).map(pathKey).join('/'));
      }),
    );
  });

  it('refuse a name that no file system has', () => {
    expect(() => hopsOf(Buffer.alloc(5000, 'a'))).toThrow(/damaged/);
  });
});
