import fc from 'fast-check';
import { expect, it } from 'vitest';
import { zipLinkTarget, zipName } from './export-zip-name.ts';

it('leaves ordinary names alone', () => {
  for (const name of ['a/b.txt', 'naïve 🦊', '100%', '50% off', "it's", 'a:b/c', '%']) {
    expect(zipName(Buffer.from(name)).replace(/^\.\//, '')).toBe(name);
  }
  expect(zipName(Buffer.from('c:x'))).toBe('./c:x');
});

it('writes as %HH what a zip cannot carry', () => {
  expect(zipName(Buffer.from('a\\b\xff%41', 'latin1'))).toBe('a%5Cb%FF%2541');
  expect(zipLinkTarget(Buffer.from('a\\b%41'))).toBe('a\\b%41');
  expect(zipLinkTarget(Buffer.from('\xff', 'latin1'))).toBe('%FF');
});

it('never gives two names the same form', () => {
  const bytes = fc
    .array(fc.constantFrom(0x25, 0x34, 0x31, 0x46, 0x5c, 0xff, 0xc3, 0xa9), { maxLength: 8 })
    .map((values) => Buffer.from(values));
  fc.assert(
    fc.property(bytes, (name) => {
      const decoded = zipName(name).replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => `\0${hex}`);
      const back = Buffer.concat(
        decoded
          .split(/(\0..)/)
          .map((piece) => (piece.startsWith('\0') ? Buffer.from(piece.slice(1), 'hex') : Buffer.from(piece))),
      );
      return back.equals(name);
    }),
  );
});
