import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { native } from './binding.ts';
import { RecordWriter } from './records.ts';
import { NativeThreads } from './threads.ts';

test('a JavaScript thread that is ended in the middle of its frames takes nothing with it', async () => {
  for (let round = 0; round < 3; round += 1) {
    const worker = new Worker(new URL('./threads-test-run.ts', import.meta.url));
    await once(worker, 'message');
    await worker.terminate();
  }
  const threads = new NativeThreads(1);
  expect(await threads.compress(Buffer.alloc(1000), 1000, Buffer.alloc(2000), 3)).toBeGreaterThan(0);
  threads.close();
});

test('closing fails what waits, takes no more, and may be done twice', async () => {
  const threads = new NativeThreads(1);
  // Slow enough that the one thread is still at the first when the others are given up.
  const source = randomBytes(4 * 1024 * 1024);
  const rooms = Array.from({ length: 3 }, () => Buffer.alloc(5_000_000));
  const jobs = rooms.map((room) => threads.compress(source, source.length, room, 19));
  threads.close();
  threads.close();
  const ends = (await Promise.allSettled(jobs)).map(({ status }) => status);
  expect(ends.slice(1)).toEqual(['rejected', 'rejected']);
  await expect(threads.compress(source, source.length, Buffer.alloc(5_000_000), 3)).rejects.toThrow('closed');
});

test('a walk without a root, and arguments of other kinds, are refused', async () => {
  const threads = new NativeThreads(1);
  await expect(threads.walk({ oneFileSystem: false }).items()).rejects.toThrow('EBADF');
  expect(() => threads.compress(Buffer.alloc(1), 2, Buffer.alloc(100), 3)).toThrow('more bytes');
  expect(() => native.closeThreads({} as never)).toThrow('handle');
  expect(() => native.seal(Buffer.alloc(10), Buffer.alloc(100), Buffer.alloc(32), 0, true)).toThrow('no room');
  threads.close();
});

const noBytes = Buffer.alloc(0);
const oneItem = itemRecord();

function itemRecord(): Buffer {
  const record = new RecordWriter(64);
  const ids = { mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n };
  record.item({ path: Buffer.from('a'), type: 'file', sizeBytes: 1, ...ids });
  return record.finish();
}

test('records of any bytes are refused or understood, never believed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 5 }), (bytes, count) => {
      for (const encode of [
        () => native.encodeTarHeader(bytes, -1, noBytes),
        () => native.encodeTarHeader(oneItem, -1, bytes),
        () => native.encodeIndexLines(bytes, count, 0),
      ]) {
        try {
          expect(Buffer.isBuffer(encode())).toBe(true);
        } catch (error) {
          expect(String(error)).toMatch(/a record/);
        }
      }
    }),
    { numRuns: 2000 },
  );
});
