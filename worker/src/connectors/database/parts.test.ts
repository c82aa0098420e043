import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { directoryName, partName } from './entry-names.ts';
import { cutParts, PartBuffers } from './part-buffers.ts';

describe('names of directories', () => {
  test.each([
    ['shop_1', 'shop_1'],
    ['Shop-2.old', 'Shop-2.old'],
    ['.hidden', '%2Ehidden'],
    ['-rf', '%2Drf'],
    ['..', '%2E.'],
    ['a/b\\c', 'a%2Fb%5Cc'],
    ['100%', '100%25'],
    ['we"ird db', 'we%22ird%20db'],
    ['漢', '%E6%BC%A2'],
    ['line\nbreak', 'line%0Abreak'],
  ])('%o', (database, name) => {
    expect(directoryName(database)).toBe(name);
  });

  test('are apart and short enough for every file system, however long the database names are', () => {
    const names = ['漢'.repeat(64), `${'漢'.repeat(63)}字`, 'x'.repeat(255), `${'x'.repeat(254)}y`].map(directoryName);
    expect(new Set(names).size).toBe(4);
    for (const name of names) expect(name).toMatch(/^[\w%.~-]{1,180}$/);
  });

  test('parts sort as they follow each other', () => {
    const numbers = [1, 2, 10, 99, 100, 99_999, 999_999];
    const names = numbers.map((number) => partName('dump.sql', number));
    expect(names.toSorted()).toEqual(names);
  });
});

describe('cutting in parts', () => {
  async function* pieces(data: Buffer, sizes: readonly number[]) {
    let at = 0;
    for (let i = 0; at < data.length; i += 1) {
      const size = sizes[i % sizes.length] ?? 1;
      yield data.subarray(at, at + size);
      at += size;
    }
  }

  test.each([[[1]], [[16]], [[15, 17]], [[100]], [[3, 0, 40]]])(
    'chunks of %o give full parts and a rest, the same bytes',
    async (sizes) => {
      for (const length of [0, 1, 15, 16, 17, 32, 333]) {
        const [data, parts] = [randomBytes(length), [] as Buffer[]];
        for await (const part of cutParts(pieces(data, sizes), new PartBuffers(16))) parts.push(Buffer.from(part));
        expect(Buffer.concat(parts)).toEqual(data);
        expect(parts.slice(0, -1).every((part) => part.length === 16)).toBe(true);
        expect(parts.every((part) => part.length > 0)).toBe(true);
      }
    },
  );

  test('a buffer goes round only after it was given back, and only once', () => {
    const buffers = new PartBuffers(16);
    const [first, second] = [buffers.take(), buffers.take()];
    expect(first.buffer).not.toBe(second.buffer);
    buffers.giveBack(first.subarray(3));
    buffers.giveBack(first);
    buffers.giveBack(Buffer.alloc(16));
    expect(buffers.take().buffer).toBe(first.buffer);
    expect(buffers.take().buffer).not.toBe(first.buffer);
  });
});
