import { createHash, hash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair, type KeyPair } from '@xvault/shared/sealing.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLocalFsStorage, localPathOf } from '../storage/local-fs.ts';
import { type SnapshotFileName, type SnapshotStorage, snapshotFiles } from '../storage/storage.ts';
import { openArtifact } from './artifact-reader.ts';
import { ArtifactWriter, type WrittenArtifact } from './artifact-writer.ts';
import { ageCommandDecrypt, flipped, mixedBytes, never, runProgram, temporaryFolder } from './codec.test-kit.ts';
import { CompressPool } from './compress-pool.ts';

const place = { tenantId: 't', sourceId: 's', snapshotId: 'snap' };
const pool = new CompressPool(2);
afterAll(() => pool.close());

let keys: KeyPair;
beforeAll(async () => {
  keys = await generateKeyPair();
});

function meta(path: string | Buffer, sizeBytes = 0) {
  return { path: Buffer.from(path), sizeBytes, mode: 0o640, uid: 0, gid: 0, mtimeNs: -1_500_000_000n };
}

type Fill = (writer: ArtifactWriter) => Promise<unknown>;

async function write(storage: SnapshotStorage, fill: Fill): Promise<WrittenArtifact> {
  const pending = await storage.create(place, 1);
  const options = { pending, recipients: [keys.recipient], compressionLevel: 1, pool, signal: never };
  const writer = await ArtifactWriter.create(options);
  await fill(writer);
  const written = await writer.finish();
  await pending.commit();
  return written;
}

async function listed<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function gathered(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await listed(pieces));
}

const small = mixedBytes(70_000);
const large = mixedBytes(9_000_000);
const fill: Fill = async (writer) => {
  await writer.addDirectory(meta('.'));
  await writer.addDirectory(meta('d'));
  await writer.addFile(meta('d/small'), small);
  await writer.beginFile(meta('large', large.length));
  for (let at = 0; at < large.length; at += 1_000_003) await writer.write(large.subarray(at, at + 1_000_003));
  await writer.endFile();
  await writer.addHardlink(meta('second'), Buffer.from('large'));
  await writer.addSymlink(meta(Buffer.from([0x6c, 0xff])), Buffer.from([0x74, 0xfe]));
  await writer.beginFile(meta('short', 1000));
  await writer.write(Buffer.alloc(10, 'x'));
  expect(await writer.endFile()).toBe(990);
};

describe('an artifact', () => {
  test('is read back: entries, content, hashes', async () => {
    await using folder = await temporaryFolder();
    const storage = createLocalFsStorage(folder.path);
    const written = await write(storage, fill);
    const reader = await openArtifact({ storage, place, identities: [keys.identity] });
    const entries = await listed(reader.entries(never));
    expect(
      entries.map((entry) => [entry.path.toString('latin1'), entry.type, entry.sizeBytes, entry.paddingBytes]),
    ).toEqual([
      ['.', 'directory', 0, 0],
      ['d', 'directory', 0, 0],
      ['d/small', 'file', small.length, 0],
      ['large', 'file', large.length, 0],
      ['second', 'hardlink', 0, 0],
      ['l\xff', 'symlink', 0, 0],
      ['short', 'file', 1000, 990],
    ]);
    for (const entry of entries.filter((candidate) => candidate.type === 'file')) {
      const content = await gathered(reader.readTar(entry.dataOffset, entry.sizeBytes, never));
      expect(hash('sha256', content)).toBe(entry.sha256);
    }
    expect(entries[4]?.linkTarget).toEqual(Buffer.from('large'));
    expect(entries[5]).toMatchObject({ linkTarget: Buffer.from([0x74, 0xfe]), mtimeNs: -1_500_000_000n, mode: 0o640 });
    expect(await reader.hashFile(snapshotFiles.artifact, never)).toEqual(written.artifact);
    expect(await reader.hashFile(snapshotFiles.index, never)).toEqual(written.index);
    expect(written).toMatchObject({ entryCount: 7, fileCount: 3, sourceBytes: small.length + large.length + 1000 });
    expect([reader.tarBytes, reader.frameCount]).toEqual([written.tarBytes, 3]);
    await reader.close();
  });

  test('opens with age, zstd and tar alone', async () => {
    await using folder = await temporaryFolder();
    await write(createLocalFsStorage(folder.path), fill);
    const stored = await readFile(join(folder.path, localPathOf(place), snapshotFiles.artifact));
    const tar = await runProgram('zstd', ['-d', '-c'], await ageCommandDecrypt(stored, keys.identity));
    const out = await temporaryFolder();
    await runProgram('tar', ['-x', '-f', '-', '-C', out.path], tar);
    expect(large.equals(await readFile(join(out.path, 'second')))).toBe(true);
    expect(small.equals(await readFile(join(out.path, 'd/small')))).toBe(true);
    await out[Symbol.asyncDispose]();
    const index = await readFile(join(folder.path, localPathOf(place), snapshotFiles.index));
    const lines = await runProgram('zstd', ['-d', '-c'], await ageCommandDecrypt(index, keys.identity));
    expect(
      lines
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).type),
    ).toHaveLength(7);
  });

  test('gives one small file without reading the rest', async () => {
    await using folder = await temporaryFolder();
    const storage = createLocalFsStorage(folder.path);
    const noise = randomBytes(4 * 1024 * 1024 - 4096);
    const rounds = 150;
    const written = await write(storage, async (writer) => {
      for (let round = 0; round < rounds; round += 1) {
        await writer.addFile(meta(`noise-${round}`), noise);
        await writer.addFile(meta(`small-${round}`), Buffer.from(`this is ${round}`));
      }
    });
    const reader = await openArtifact({ storage, place, identities: [keys.identity] });
    const entry = (await listed(reader.entries(never))).find((candidate) =>
      candidate.path.equals(Buffer.from('small-77')),
    );
    const content = await gathered(reader.readTar(entry?.dataOffset ?? -1, entry?.sizeBytes ?? -1, never));
    expect(content.toString()).toBe('this is 77');
    expect(written.artifact.sizeBytes).toBeGreaterThan(600_000_000);
    expect(reader.bytesRead / (written.artifact.sizeBytes + written.index.sizeBytes)).toBeLessThan(0.01);
    await reader.close();
  });
});

describe('what does not belong is refused', () => {
  test('a stranger’s identity, a snapshot that is not there', async () => {
    await using folder = await temporaryFolder();
    const storage = createLocalFsStorage(folder.path);
    await write(storage, fill);
    const stranger = await generateKeyPair();
    const opening = openArtifact({ storage, place, identities: [stranger.identity] });
    await expect(opening).rejects.toMatchObject({ code: 'IDENTITY_MISMATCH' });
    const elsewhere = openArtifact({ storage, place: { ...place, snapshotId: 'other' }, identities: [keys.identity] });
    await expect(elsewhere).rejects.toMatchObject({ code: 'ARTIFACT_MISSING' });
  });

  test('an aborted reader stops', async () => {
    await using folder = await temporaryFolder();
    const storage = createLocalFsStorage(folder.path);
    await write(storage, fill);
    const reader = await openArtifact({ storage, place, identities: [keys.identity] });
    const stop = new AbortController();
    const reading = (async () => {
      for await (const _piece of reader.readTar(0, reader.tarBytes, stop.signal)) stop.abort(new Error('enough'));
    })();
    await expect(reading).rejects.toThrow('enough');
    await reader.close();
  });
});

describe.each([snapshotFiles.artifact, snapshotFiles.index])('damage to %s', (name: SnapshotFileName) => {
  test('is noticed wherever a bit is flipped', async () => {
    await using folder = await temporaryFolder();
    const storage = createLocalFsStorage(folder.path);
    await write(storage, (writer) => writer.addFile(meta('f'), mixedBytes(300_000)));
    const path = join(folder.path, localPathOf(place), name);
    const good = await readFile(path);
    expect(await readEverything(storage)).toBeGreaterThan(300_000);
    const steps = 150;
    for (let step = 0; step <= steps; step += 1) {
      await writeFile(path, flipped(good, Math.floor(((good.length - 1) * step) / steps)));
      const code = expect.stringMatching(/^(ARTIFACT_CORRUPT|ARTIFACT_TRUNCATED|IDENTITY_MISMATCH)$/);
      await expect(readEverything(storage)).rejects.toMatchObject({ code });
    }
  });

  test('is noticed wherever it is cut off, and known to be that when the size is known', async () => {
    await using folder = await temporaryFolder();
    const storage = createLocalFsStorage(folder.path);
    const written = await write(storage, (writer) => writer.addFile(meta('f'), mixedBytes(300_000)));
    const path = join(folder.path, localPathOf(place), name);
    const good = await readFile(path);
    const expected = { artifactBytes: written.artifact.sizeBytes, indexBytes: written.index.sizeBytes };
    for (const length of [0, 1, 100, 216, Math.floor(good.length / 2), good.length - 1]) {
      await writeFile(path, good.subarray(0, length));
      await expect(readEverything(storage)).rejects.toMatchObject({ code: expect.stringMatching(/^ARTIFACT_/) });
      const opening = openArtifact({ storage, place, identities: [keys.identity], expected });
      await expect(opening).rejects.toMatchObject({ code: 'ARTIFACT_TRUNCATED' });
    }
  });
});

async function readEverything(storage: SnapshotStorage): Promise<number> {
  const reader = await openArtifact({ storage, place, identities: [keys.identity] });
  try {
    const digest = createHash('sha256');
    await listed(reader.entries(never));
    for await (const piece of reader.readTar(0, reader.tarBytes, never)) digest.update(piece);
    return reader.tarBytes;
  } finally {
    await reader.close();
  }
}

describe('misuse of the writer', () => {
  test('more bytes than announced, a file left open, a file within a file', async () => {
    await using folder = await temporaryFolder();
    const pending = await createLocalFsStorage(folder.path).create(place, 1);
    const options = { pending, recipients: [keys.recipient], compressionLevel: 1, pool, signal: never };
    const writer = await ArtifactWriter.create(options);
    await expect(writer.write(small)).rejects.toThrow('no file is open');
    await writer.beginFile(meta('f', 5));
    await expect(writer.beginFile(meta('g', 5))).rejects.toThrow('open already');
    await expect(writer.finish()).rejects.toThrow('still open');
    await expect(writer.write(Buffer.alloc(6))).rejects.toThrow('more bytes');
    await writer.settle();
    await pending.abort();
  });
});
