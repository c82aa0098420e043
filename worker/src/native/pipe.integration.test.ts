import { createHash, randomBytes } from 'node:crypto';
import { closeSync, readdirSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startChild } from '../process/run-child.ts';
import { openPipe } from './pipe.ts';

const longMs = 60_000;

function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest();
}

test('what a process writes comes whole and hashed, in fillings that are full until the end', async () => {
  const pipe = openPipe();
  const script = 'head -c 5000000 /dev/zero | tr "\\0" x; printf end';
  const child = startChild({ file: '/bin/sh', args: ['-c', script], stdout: pipe.writeFd });
  closeSync(pipe.writeFd);
  const expected = Buffer.from(`head${'x'.repeat(5_000_000)}end`);
  const pieces: Buffer[] = [];
  const buffer = Buffer.alloc(2_000_000);
  for (let filled = buffer.write('head'); ; filled = 0) {
    const read = await pipe.fill(buffer, filled, longMs);
    const piece = Buffer.from(buffer.subarray(0, read.bytes));
    expect(read.sha256).toEqual(sha256(piece));
    expect(read.stalled).toBe(false);
    pieces.push(piece);
    if (read.ended) break;
    expect(read.bytes).toBe(buffer.length);
  }
  expect(Buffer.concat(pieces).equals(expected)).toBe(true);
  expect((await child.outcome).succeeded).toBe(true);
  expect((await pipe.fill(buffer, 0, longMs)).ended).toBe(true);
  pipe.close();
});

test('a writer that says nothing for too long is told, and what it said is there', async () => {
  const pipe = openPipe();
  const said = randomBytes(1000);
  writeSync(pipe.writeFd, said);
  const buffer = Buffer.alloc(5000);
  const read = await pipe.fill(buffer, 0, 50);
  expect(read).toEqual({ bytes: 1000, ended: false, stalled: true, sha256: sha256(said) });
  closeSync(pipe.writeFd);
  pipe.close();
});

test('closing ends a read that waits, although somebody still holds the other end, and frees the descriptors', async () => {
  const before = readdirSync('/proc/self/fd').length;
  const pipe = openPipe();
  const reading = pipe.fill(Buffer.alloc(100), 0, longMs);
  pipe.close();
  expect(await reading).toMatchObject({ bytes: 0, ended: true });
  expect(await pipe.fill(Buffer.alloc(100), 0, longMs)).toMatchObject({ bytes: 0, ended: true });
  pipe.close();
  expect(() => writeSync(pipe.writeFd, 'x')).toThrow('EPIPE');
  closeSync(pipe.writeFd);
  expect(readdirSync('/proc/self/fd').length).toBe(before);
});

test('a read into more than the buffer has is refused', async () => {
  const pipe = openPipe();
  await expect(pipe.fill(Buffer.alloc(10), 11, longMs)).rejects.toThrow('more bytes');
  closeSync(pipe.writeFd);
  pipe.close();
});
