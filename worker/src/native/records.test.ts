import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SourceEntry } from '../connectors/connector.ts';
import { RecordReader, RecordWriter } from './records.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const entry: fc.Arbitrary<SourceEntry> = fc.record(
  {
    path: bytes,
    type: fc.constantFrom('file' as const, 'directory' as const, 'symlink' as const),
    sizeBytes: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    mtimeNs: fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
    linkTarget: bytes,
    hardLinkKey: fc.tuple(fc.nat(), fc.nat()).map(([device, inode]) => `${device}:${inode}`),
  },
  { requiredKeys: ['path', 'type', 'sizeBytes', 'mode', 'uid', 'gid', 'mtimeNs'], noNullPrototype: true },
);
test('items come out as they went in, whatever the first size of the buffer', () => {
  fc.assert(
    fc.property(fc.array(entry), fc.nat({ max: 5000 }), (items, initialBytes) => {
      const writer = new RecordWriter(initialBytes);
      for (const item of items) writer.item(item);
      const reader = new RecordReader(writer.finish());
      expect(items.map(() => reader.item())).toEqual(items);
    }),
  );
});
