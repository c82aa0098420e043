import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { IndexEntry } from './entry.ts';
import { decodeIndexLine, encodeIndexLine } from './index-line.ts';

const name = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const count = fc.maxSafeNat();
const common = {
  path: name,
  mode: fc.nat({ max: 0o7777 }),
  uid: fc.nat({ max: 2 ** 32 - 1 }),
  gid: fc.nat({ max: 2 ** 32 - 1 }),
  mtimeNs: fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  tarOffset: fc.nat().map((blocks) => blocks * 512),
  pack: fc.option(fc.string({ minLength: 1 })),
};
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const text = fc.string({ unit: 'binary' });
const extras = fc.record(
  {
    xattrCount: fc.integer({ min: 1, max: 1000 }),
    attributes: fc.dictionary(
      text.map((key) => `meta:${key}`),
      text,
    ),
  },
  { requiredKeys: [] },
);
const file = fc
  .tuple(
    fc.record({
      ...common,
      sizeBytes: count,
      sparseBytes: fc.option(count),
      padded: fc.nat({ max: 100 }),
      sha256: digest,
    }),
    extras,
  )
  .map(([fields, extra]) => ({ ...fields, ...extra }))
  .map(({ padded, ...rest }) => ({
    ...rest,
    type: 'file' as const,
    paddingBytes: Math.min(padded, rest.sizeBytes),
    linkTarget: null,
  }));
const link = fc.record({ ...common, type: fc.constantFrom('symlink' as const, 'hardlink' as const), linkTarget: name });
const other = fc.record({ ...common, type: fc.constant('directory' as const), linkTarget: fc.constant(null) });
const empty = fc
  .oneof(link, other)
  .map((entry) => ({ ...entry, sizeBytes: 0, sparseBytes: null, paddingBytes: 0, sha256: null }));
const entries: fc.Arbitrary<IndexEntry> = fc
  .oneof(file, empty)
  .map((entry) => ({ ...entry, dataOffset: entry.tarOffset + 1536 }));

test('any entry comes back from its line, which is one line', () => {
  fc.assert(
    fc.property(entries, (entry) => {
      const line = encodeIndexLine(entry).toString();
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(decodeIndexLine(line.slice(0, -1))).toEqual(entry);
    }),
  );
});

const good = {
  path: 'a',
  type: 'file',
  size: 3,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: '1.000000000',
  sha256: 'ab'.repeat(32),
  offset: 0,
  data_offset: 512,
};

test('the line that the damaged ones are made of is good', () => {
  expect(decodeIndexLine(JSON.stringify(good))?.path).toEqual(Buffer.from('a'));
});

test.each([
  ['cut off', JSON.stringify(good).slice(0, -1)],
  ['empty', ''],
  ['not an object', '[]'],
  ['an unknown field', JSON.stringify({ ...good, extra: 1 })],
  ['no path', JSON.stringify({ ...good, path: undefined })],
  ['two paths', JSON.stringify({ ...good, path_b64: 'YQ==' })],
  ['a file without a hash', JSON.stringify({ ...good, sha256: undefined })],
  ['a directory with holes', JSON.stringify({ ...good, type: 'directory', size: 0, sparse: 1, sha256: undefined })],
  ['a directory with content', JSON.stringify({ ...good, type: 'directory', sha256: undefined })],
  ['a file with a link', JSON.stringify({ ...good, link: 'b' })],
  ['a symlink without a link', JSON.stringify({ ...good, type: 'symlink', size: 0, sha256: undefined })],
  ['a negative size', JSON.stringify({ ...good, size: -1 })],
  ['more padding than content', JSON.stringify({ ...good, padding: 4 })],
  ['content before its header', JSON.stringify({ ...good, offset: 1024 })],
  ['an odd offset', JSON.stringify({ ...good, data_offset: 513 })],
  ['a mode out of range', JSON.stringify({ ...good, mode: 0o10000 })],
  ['a time without nine digits', JSON.stringify({ ...good, mtime: '1.5' })],
])('%s is damaged', (_what, line) => {
  expect(decodeIndexLine(line)).toBeUndefined();
});
