import { expect, test } from 'vitest';
import type { SourceEntry } from '../../connectors/connector.ts';
import { RecordReader } from '../../native/records.ts';
import { BatchItems } from './batch-items.ts';

const base = { mode: 0o640, uid: 1, gid: 2, mtimeNs: -1_500_000_001n };
const file = (path: string, sizeBytes: number, hardLinkKey?: string): SourceEntry => ({
  path: Buffer.from(path),
  type: 'file',
  sizeBytes,
  ...base,
  ...(hardLinkKey !== undefined && { hardLinkKey }),
});
const directory = (path: string): SourceEntry => ({ ...file(path, 0), type: 'directory' });
const symlink = (path: string): SourceEntry => ({
  ...file(path, 0),
  type: 'symlink',
  linkTarget: Buffer.from([0xff, 0x2f]),
});
const none = { get: () => undefined };

function batchOf(entries: readonly SourceEntry[], firstNames: { get(key: string): Buffer | undefined } = none) {
  const batch = new BatchItems();
  for (const entry of entries) batch.add(entry, firstNames);
  return batch;
}

test('items come out as they were listed', () => {
  const entries = [directory('.'), file('a', 10), symlink('b'), file('c', 2 ** 40, '1:2'), file('d', 2 ** 40, '1:2')];
  const batch = batchOf(entries);
  expect(entries.map((_, at) => batch.at(at))).toEqual(entries);
  expect(() => batch.at(entries.length)).toThrow(RangeError);
});

test('later names are links for native code: to the first one of the batch, or of batches before', () => {
  const before = { get: (key: string) => (key === 'old' ? Buffer.from('elsewhere') : undefined) };
  const batch = batchOf([file('a', 7, 'new'), file('b', 7, 'new'), file('c', 9, 'old')], before);
  const { records, count, from } = batch.operations(1);
  const reader = new RecordReader(Buffer.from(records));
  const operations = Array.from({ length: count }, () => reader.item());
  expect(from).toBe(1);
  expect(operations).toMatchObject([
    { path: Buffer.from('a'), type: 'file', sizeBytes: 7 },
    { path: Buffer.from('b'), type: 'hardlink', sizeBytes: 0, linkTarget: Buffer.from('a') },
    { path: Buffer.from('c'), type: 'hardlink', sizeBytes: 0, linkTarget: Buffer.from('elsewhere') },
  ]);
  expect(batch.linked).toMatchObject([
    { at: 0, key: 'new', firstName: undefined },
    { at: 1, key: 'new', firstName: Buffer.from('a') },
    { at: 2, key: 'old', firstName: Buffer.from('elsewhere') },
  ]);
});

test('files are counted at their listed sizes, later names too', () => {
  const batch = batchOf([
    directory('.'),
    file('a', 5, 'k'),
    symlink('s'),
    file('b', 5, 'k'),
    file('c', 0),
    directory('d'),
  ]);
  expect(batch.files(0, batch.count)).toEqual({ count: 3, bytes: 10, last: 4 });
  expect(batch.files(2, 4)).toEqual({ count: 1, bytes: 5, last: 3 });
  expect(batch.files(5, 6)).toEqual({ count: 0, bytes: 0, last: undefined });
});

test('cleared, it knows nothing of what it held', () => {
  const batch = batchOf([file('a', 5, 'k'), file('b', 5, 'k')]);
  batch.clear();
  batch.add(file('longer than before', 6, 'k'), none);
  expect(batch.count).toBe(1);
  expect(batch.linked).toMatchObject([{ at: 0, firstName: undefined }]);
  expect(batch.at(0)).toEqual(file('longer than before', 6, 'k'));
  expect(batch.files(0, 1)).toEqual({ count: 1, bytes: 6, last: 0 });
});
