import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { checksumOfHalves, StoredChecksum, sha256Of, wholeFile } from './stored-checksum.ts';

const data = randomBytes(1000);

function checksum(of: ConstructorParameters<typeof StoredChecksum>[0], pieceBytes: number): string {
  const hash = new StoredChecksum(of);
  for (let at = 0; at < data.length; at += pieceBytes) hash.update(data.subarray(at, at + pieceBytes));
  return hash.digest();
}

test('of a whole file it is its SHA-256', () => {
  for (const pieceBytes of [1, 7, 1000]) expect(checksum(wholeFile, pieceBytes)).toBe(sha256Of(data));
});

test('of halves it is that of their SHA-256, however the bytes come', () => {
  for (const headerBytes of [0, 1, 500, 999, 1000]) {
    const halves = [data.subarray(0, headerBytes), data.subarray(headerBytes)];
    const digests = halves.map((half) => createHash('sha256').update(half).digest());
    const expected = sha256Of(Buffer.concat(digests));
    expect(checksumOfHalves(digests[0]?.toString('hex') ?? '', digests[1]?.toString('hex') ?? '')).toBe(expected);
    for (const pieceBytes of [1, 7, 500, 1000])
      expect(checksum({ type: 'halves', headerBytes }, pieceBytes)).toBe(expected);
  }
});
