import { inspect } from 'node:util';
import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from 'age-encryption';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { AgeEncrypter } from './age-encrypter.ts';
import { ageChunkBytes, ageStoredChunkBytes } from './age-format.ts';
import { AgeReader } from './age-reader.ts';
import { ageCommandDecrypt, flipped, mixedBytes, readerOf, runProgram } from './codec.test-kit.ts';

let identity = '';
let recipient = '';
beforeAll(async () => {
  identity = await generateX25519Identity();
  recipient = await identityToRecipient(identity);
});

/** Encrypts with data that comes in pieces of the given size. */
async function encrypted(plaintext: Buffer, pieceBytes: number, recipients = [recipient]): Promise<Buffer> {
  const encrypter = await AgeEncrypter.create(recipients);
  const out = [encrypter.header];
  for (let at = 0; at < plaintext.length; at += pieceBytes) {
    // A copy that is wiped afterwards: nothing may be kept of it.
    const piece = Buffer.from(plaintext.subarray(at, at + pieceBytes));
    for (const part of encrypter.update(piece)) out.push(Buffer.from(part));
    piece.fill(0);
  }
  for (const part of encrypter.final()) out.push(Buffer.from(part));
  return Buffer.concat(out);
}

async function readAll(stored: Buffer, identities = [identity]): Promise<Buffer> {
  const reader = await AgeReader.open(readerOf(stored), identities);
  return reader.read(0, reader.sizeBytes);
}

const edges = [0, 1, ageChunkBytes - 1, ageChunkBytes, ageChunkBytes + 1, 2 * ageChunkBytes, 3 * ageChunkBytes + 5];

describe.each(edges)('%i bytes', (length) => {
  test('open with the age command, with age-encryption and with our reader', async () => {
    const plaintext = mixedBytes(length);
    const stored = await encrypted(plaintext, 100_000);
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    expect(plaintext.equals(await ageCommandDecrypt(stored, identity))).toBe(true);
    expect(plaintext.equals(await decrypter.decrypt(stored))).toBe(true);
    expect(plaintext.equals(await readAll(stored))).toBe(true);
  });

  test('that others encrypted open with our reader', async () => {
    const plaintext = mixedBytes(length);
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    expect(plaintext.equals(await readAll(Buffer.from(await encrypter.encrypt(plaintext))))).toBe(true);
    expect(plaintext.equals(await readAll(await runProgram('age', ['-r', recipient], plaintext)))).toBe(true);
  });
});

test('byte by byte is as good as all at once', async () => {
  const plaintext = mixedBytes(ageChunkBytes + 700);
  expect(plaintext.equals(await readAll(await encrypted(plaintext, 1)))).toBe(true);
});

test('any range is what it is in the plaintext, and only its chunks are read', async () => {
  const plaintext = mixedBytes(5 * ageChunkBytes + 17);
  const stored = await encrypted(plaintext, 4096);
  const file = readerOf(stored);
  let readBytes = 0;
  const counting = {
    ...file,
    read: (at: number, length: number) => file.read(at, length).finally(() => (readBytes += length)),
  };
  const reader = await AgeReader.open(counting, [identity]);
  const range = fc.tuple(fc.nat({ max: plaintext.length }), fc.nat({ max: plaintext.length }));
  await fc.assert(
    fc.asyncProperty(range, async ([a, b]) => {
      const [start, end] = a < b ? [a, b] : [b, a];
      readBytes = 0;
      expect(plaintext.subarray(start, end).equals(await reader.read(start, end - start))).toBe(true);
      expect(readBytes).toBeLessThanOrEqual(end - start + 2 * ageStoredChunkBytes);
    }),
  );
  await expect(reader.read(plaintext.length, 1)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
});

test('every recipient opens it, a hybrid one too; another identity does not', async () => {
  const hybrid = await generateHybridIdentity();
  const plaintext = mixedBytes(1000);
  const stored = await encrypted(plaintext, 1000, [recipient, await identityToRecipient(hybrid)]);
  const stranger = await generateX25519Identity();
  expect(plaintext.equals(await readAll(stored, [identity]))).toBe(true);
  expect(plaintext.equals(await readAll(stored, [stranger, hybrid]))).toBe(true);
  await expect(readAll(stored, [stranger])).rejects.toMatchObject({ code: 'IDENTITY_MISMATCH' });
  await expect(readAll(stored, [])).rejects.toMatchObject({ code: 'IDENTITY_MISMATCH' });
});

test('an identity that is none is a mismatch, and its text is not repeated', async () => {
  const stored = await encrypted(Buffer.from('x'), 1);
  const broken = `${identity.slice(0, -1)}B`;
  const error = await readAll(stored, [broken]).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'IDENTITY_MISMATCH' });
  // Bech32 errors may quote in either case.
  expect(inspect(error, { depth: 9 }).toUpperCase()).not.toContain(identity.slice(20, 40));
});

test('a file needs a recipient, and a valid one', async () => {
  await expect(AgeEncrypter.create([])).rejects.toThrow();
  await expect(AgeEncrypter.create(['age1nonsense'])).rejects.toThrow();
});

test('one flipped bit anywhere is noticed', async () => {
  const stored = await encrypted(mixedBytes(ageChunkBytes + 300), 1000);
  const payload = stored.length - ageStoredChunkBytes - 316;
  const offsets = fc.oneof(fc.nat({ max: payload }), fc.nat({ max: stored.length - 1 }));
  const codes = /^(ARTIFACT_CORRUPT|ARTIFACT_TRUNCATED|IDENTITY_MISMATCH)$/;
  await fc.assert(
    fc.asyncProperty(offsets, async (offset) => {
      await expect(readAll(flipped(stored, offset))).rejects.toMatchObject({ code: expect.stringMatching(codes) });
    }),
    { numRuns: 300 },
  );
});

test('a cut anywhere is noticed; between two chunks it is known to be one', async () => {
  const plaintext = mixedBytes(3 * ageChunkBytes);
  const stored = await encrypted(plaintext, plaintext.length);
  const payload = stored.length - 3 * ageStoredChunkBytes;
  for (const length of [0, 10, payload - 20, payload - 1, payload, payload + 15]) {
    await expect(readAll(stored.subarray(0, length))).rejects.toMatchObject({ code: 'ARTIFACT_TRUNCATED' });
  }
  for (const chunks of [1, 2]) {
    const cut = stored.subarray(0, payload + chunks * ageStoredChunkBytes);
    await expect(readAll(cut)).rejects.toMatchObject({ code: 'ARTIFACT_TRUNCATED' });
  }
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: stored.length - 1 }), async (length) => {
      const code = expect.stringMatching(/^ARTIFACT_/);
      await expect(readAll(stored.subarray(0, length))).rejects.toMatchObject({ code });
    }),
  );
});

test('what is not an age file is damaged, and a header without an end is not read for ever', async () => {
  await expect(readAll(Buffer.from('something else, long enough'))).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  const endless = Buffer.concat([Buffer.from('age-encryption.org/v1\n'), Buffer.alloc(2 * 1024 * 1024, '-> x y\n')]);
  await expect(readAll(endless)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
});
