import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pathToText, textToPath } from './path-text.ts';

test.each([
  ['plain/näme 🎉', Buffer.from('plain/näme 🎉')],
  ['new\nline', Buffer.from('new\nline')],
  ['back\\\\slash', Buffer.from('back\\slash')],
  ['a\\xffb', Buffer.from([0x61, 0xff, 0x62])],
  ['é\\xc3', Buffer.from([0xc3, 0xa9, 0xc3])],
  ['\\\\xff', Buffer.from('\\xff')],
])('%j', (text, path) => {
  expect(pathToText(path)).toBe(text);
  expect(textToPath(text)).toEqual(path);
});

test('any bytes have one text form, which gives them back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const path = Buffer.from(bytes);
      expect(textToPath(pathToText(path))).toEqual(path);
    }),
  );
});

test.each(['\\', 'a\\b', '\\x4', '\\xGG', '\\x61', '\\xC3', '\\xc3\\xa9', '\ud800'])(
  '%j is the form of no path',
  (text) => {
    expect(textToPath(text)).toBeUndefined();
  },
);
