import { randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import { XVaultError } from '@xvault/shared/errors.ts';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { Encrypter } from 'age-encryption';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BrowseCache } from '../engines/archive/browse-cache.ts';
import { listFiles } from '../engines/archive/files.ts';
import type { FileReader } from '../storage/storage.ts';
import { damaged, fuzzRuns } from '../testing/mutations.ts';
import { openAgeHeader, readAgeHeader } from './age-header.ts';
import { AgeReader } from './age-reader.ts';
import { never } from './codec.test-kit.ts';
import type { IndexEntry } from './entry.ts';
import { FrameReader } from './frame-reader.ts';
import { readIndex } from './index-file.ts';
import { decodeIndexLine, encodeIndexLine } from './index-line.ts';
import { encodeSeekTable, readSeekTable } from './seek-table.ts';

const readable = ['ARTIFACT_CORRUPT', 'ARTIFACT_TRUNCATED', 'IDENTITY_MISMATCH'];

/** What it resolves to, or undefined where it says that the data is damaged; anything else is a fault. */
async function value<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof XVaultError && readable.includes(error.code)) return undefined;
    throw error;
  }
}

/** Reads like a disk; the work that a reader does is bounded by the size of what it reads, whatever that says. */
class Metered implements FileReader {
  readonly #data: Buffer;
  #left: number;

  constructor(data: Buffer) {
    this.#data = data;
    this.#left = 20 * data.length + 1_000_000;
  }

  get sizeBytes(): number {
    return this.#data.length;
  }

  read = async (offset: number, length: number): Promise<Buffer> => {
    if (offset < 0 || length < 0 || offset + length > this.#data.length) {
      throw new XVaultError('ARTIFACT_TRUNCATED', { detail: 'beyond the end' });
    }
    this.#left -= length + 1;
    if (this.#left < 0) throw new Error('far more is read than there is');
    return Buffer.from(this.#data.subarray(offset, offset + length));
  };

  async close(): Promise<void> {
    this.#left = 0;
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function framed(content: Buffer, frameBytes: number): Buffer {
  const frames: Buffer[] = [];
  const sizes: { storedBytes: number; contentBytes: number }[] = [];
  for (let offset = 0; offset < content.length; offset += frameBytes) {
    const piece = content.subarray(offset, offset + frameBytes);
    const frame = zstdCompressSync(piece);
    frames.push(frame);
    sizes.push({ storedBytes: frame.length, contentBytes: piece.length });
  }
  return Buffer.concat([...frames, encodeSeekTable(sizes)]);
}

const entry: IndexEntry = {
  path: Buffer.from('some/path'),
  type: 'file',
  sizeBytes: 1234,
  sparseBytes: null,
  paddingBytes: 4,
  mode: 0o644,
  uid: 1000,
  gid: 1000,
  mtimeNs: 1_700_000_000_123_456_789n,
  linkTarget: null,
  sha256: 'a'.repeat(64),
  tarOffset: 512,
  dataOffset: 1024,
  pack: null,
};

const lines = Buffer.concat(
  Array.from({ length: 200 }, (_, number) =>
    encodeIndexLine({
      ...entry,
      path: Buffer.from(`directory ${number % 7}/file ${number}\\`),
      tarOffset: 512 * number,
      dataOffset: 512 * number + 512,
    }),
  ),
);

describe('damaged data', () => {
  it('seek tables: a map of the whole stream, or ARTIFACT_CORRUPT', async () => {
    const good = framed(randomBytes(5000), 700);
    await fc.assert(
      fc.asyncProperty(damaged(good, 8), async (bad) => {
        const file = new Metered(bad);
        const map = await value(readSeekTable(bad.length, file.read));
        if (map === undefined) return;
        expect(map.storedOffsets.at(-1)).toBeLessThan(bad.length);
        expect([...map.contentOffsets]).toEqual([...map.contentOffsets].sort((a, b) => a - b));
      }),
      fuzzRuns(2000),
    );
  });

  it('seek tables of nothing but noise', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (noise, withMagic) => {
        const data = Buffer.concat([noise, withMagic ? Buffer.from('b1ea928f', 'hex') : Buffer.alloc(0)]);
        await value(readSeekTable(data.length, new Metered(data).read));
      }),
      fuzzRuns(2000),
    );
  });

  it('zstd frames: no more than the seek table announces, or ARTIFACT_CORRUPT', async () => {
    const content = Buffer.concat([Buffer.alloc(3000, 'words '), randomBytes(2000), Buffer.alloc(4000)]);
    const good = framed(content, 1500);
    await fc.assert(
      fc.asyncProperty(damaged(good, 100), async (bad) => {
        const file = new Metered(bad);
        const reader = await value(FrameReader.open(bad.length, file.read));
        if (reader === undefined) return;
        expect(reader.contentBytes).toBeLessThanOrEqual(reader.frameCount * 64 * 1024 * 1024);
        const pieces = await value(collect(reader.range(0, reader.contentBytes, never)));
        if (pieces !== undefined) expect(Buffer.concat(pieces).length).toBe(reader.contentBytes);
      }),
      fuzzRuns(600),
    );
  });

  it('a frame that unpacks to far more than announced, or wants a huge window, is refused before it is unpacked', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(200_000_000));
    // Magic number, a descriptor without content size, and a window of 2^31 bytes; then an empty last block.
    const window = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00]);
    for (const [frame, contentBytes] of [
      [bomb, 1000],
      [bomb, 60_000_000],
      [window, 0],
      [window, 1000],
    ] as const) {
      const stream = Buffer.concat([
        frame,
        encodeSeekTable([
          { storedBytes: frame.length, contentBytes },
          { storedBytes: 0, contentBytes: 0 },
        ]),
      ]);
      const reader = await FrameReader.open(stream.length, new Metered(stream).read);
      if (contentBytes === 0) continue;
      await expect(collect(reader.range(0, contentBytes, never))).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
    }
    const tooLarge = Buffer.concat([bomb, encodeSeekTable([{ storedBytes: bomb.length, contentBytes: 200_000_000 }])]);
    await expect(FrameReader.open(tooLarge.length, new Metered(tooLarge).read)).rejects.toMatchObject({
      code: 'ARTIFACT_CORRUPT',
    });
  });

  it('age headers: the file key itself, or an error that says so', async () => {
    for (const type of ['x25519', 'post_quantum'] as const) {
      const { identity, recipient } = await generateKeyPair(type);
      const encrypter = new Encrypter();
      encrypter.addRecipient(recipient);
      const good = Buffer.from(await encrypter.encrypt('payload'));
      const header = await readAgeHeader(new Metered(good));
      const fileKey = await openAgeHeader(header, [identity]);
      await fc.assert(
        fc.asyncProperty(damaged(good, 64), async (bad) => {
          const read = await value(readAgeHeader(new Metered(bad)));
          const found = read === undefined ? undefined : await value(openAgeHeader(read, [identity]));
          if (found === undefined) return;
          // Only damage behind the header leaves it readable.
          expect(Buffer.compare(found, fileKey)).toBe(0);
          expect(read?.equals(header)).toBe(true);
        }),
        fuzzRuns(type === 'x25519' ? 500 : 100),
      );
    }
  }, 240_000);

  it('age headers without end are given up early', async () => {
    const endless = Buffer.concat([Buffer.from('age-encryption.org/v1\n'), Buffer.alloc(50_000_000, '-> x y\nAAAA\n')]);
    await expect(readAgeHeader(new Metered(endless))).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  });

  it('age payloads: the plaintext as it was, or an error; never other bytes', async () => {
    const { identity, recipient } = await generateKeyPair();
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    const plain = randomBytes(3 * 65_536 + 100);
    const good = Buffer.from(await encrypter.encrypt(plain));
    await fc.assert(
      fc.asyncProperty(damaged(good, 65_552), fc.nat(plain.length), async (bad, offset) => {
        const age = await value(AgeReader.open(new Metered(bad), [identity]));
        if (age === undefined) return;
        const start = Math.min(offset, age.sizeBytes);
        const read = await value(age.read(start, Math.min(70_000, age.sizeBytes - start)));
        if (read !== undefined) expect(read.equals(plain.subarray(start, start + read.length))).toBe(true);
        const all = await value(age.read(0, age.sizeBytes));
        if (all !== undefined) expect([all.equals(plain), bad.equals(good)]).toEqual([true, true]);
      }),
      fuzzRuns(300),
    );
  });

  it('index lines: an entry that is written the same way again, or nothing', () => {
    const good = encodeIndexLine(entry).subarray(0, -1);
    fc.assert(
      fc.property(damaged(good, 10), (bad) => {
        const found = decodeIndexLine(bad.toString());
        if (found === undefined) return;
        expect(decodeIndexLine(encodeIndexLine(found).toString().trimEnd())).toEqual(found);
      }),
      fuzzRuns(3000),
    );
  });

  it('indexes: listed and browsed, or an error', async () => {
    await fc.assert(
      fc.asyncProperty(damaged(lines, 200), fc.integer({ min: 100, max: 5000 }), async (bad, frameBytes) => {
        const stream = framed(bad, frameBytes);
        const frames = await value(FrameReader.open(stream.length, new Metered(stream).read));
        if (frames === undefined) return;
        const entries = await value(collect(readIndex(frames, never)));
        const browsing = { frames, indexSha256: '', cache: new BrowseCache(), search: null, offset: 0, signal: never };
        const all = await value(listFiles({ ...browsing, path: '', recursive: true, limit: 1000 }));
        const top = await value(listFiles({ ...browsing, path: '', recursive: false, limit: 1000 }));
        if (entries === undefined) return;
        expect(all?.entries.length).toBeLessThanOrEqual(entries.length);
        expect(top).toBeDefined();
      }),
      fuzzRuns(400),
    );
  });

  it('an index line without end is given up early', async () => {
    const stream = framed(Buffer.alloc(8_000_000, 'x'), 1_000_000);
    const frames = await FrameReader.open(stream.length, new Metered(stream).read);
    await expect(collect(readIndex(frames, never))).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  });
});
