import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyType } from '@xvault/shared/recipients.ts';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeAgeHeader, openAgeHeader, readAgeHeader } from '../../artifact/age-header.ts';
import { openArtifact, openIndex } from '../../artifact/artifact-reader.ts';
import { ageCommandDecrypt, readerOf } from '../../artifact/codec.test-kit.ts';
import { localPathOf } from '../../storage/local-fs.ts';
import { createS3Storage } from '../../storage/s3.ts';
import { S3Objects } from '../../storage/s3-objects.ts';
import { snapshotFiles } from '../../storage/storage.ts';
import { connectToNewBucket } from '../../testing/s3.ts';
import { BrowseCache } from './browse-cache.ts';
import { listFiles } from './files.ts';
import { makeSnapshot, type TestFolder, type TestSnapshot, testFolder } from './restore-test-kit.ts';
import { type RewrapOptions, type RewrappedSnapshot, rewrapSnapshot } from './rewrap.ts';
import { validateSnapshot } from './validate.ts';

const never = new AbortController().signal;
const target = { tenantId: 'tenant', sourceId: 'source', snapshotId: 'copy' };
let folder: TestFolder;
let old: TestSnapshot;
beforeEach(async () => {
  folder = await testFolder();
  old = await makeSnapshot(folder.path, [
    { path: '.', type: 'directory' },
    { path: 'file', type: 'file', data: randomBytes(3_000_000) },
    { path: 'small', type: 'file', data: 'words' },
  ]);
});
afterEach(() => folder.remove());

function rewrap(recipients: string[], changed: Partial<RewrapOptions> = {}): Promise<RewrappedSnapshot> {
  const { storage, place, ref, identity } = old;
  const known = { storage, place, target, epoch: 2, identities: [identity], ref, recipients, signal: never };
  return rewrapSnapshot({ ...known, ...changed });
}

/** As the Hub would say after it. */
function refOf({ artifact, index, manifest }: RewrappedSnapshot): SnapshotRef {
  return {
    ...old.ref,
    artifact_bytes: artifact.sizeBytes,
    artifact_sha256: artifact.sha256,
    index_bytes: index.sizeBytes,
    index_sha256: index.sha256,
    manifest_bytes: manifest.sizeBytes,
    manifest_sha256: manifest.sha256,
  };
}

const copyPath = (name: string) => join(folder.path, 'storage', localPathOf(target), name);

async function storedItems(): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const { place, epoch } of old.storage.list()) items.push([place.snapshotId, epoch]);
  return items;
}

describe('giving a snapshot to other recipients', () => {
  it.each<KeyType>(['x25519', 'post_quantum'])(
    '%s: the new identity opens all of it, the old one nothing',
    async (type) => {
      const { identity, recipient } = await generateKeyPair(type);
      const ref = refOf(await rewrap([recipient]));
      const validate = { storage: old.storage, place: target, ref, signal: never, level: 'full' } as const;
      expect(await validateSnapshot({ ...validate, identities: [identity] })).toMatchObject({ verdict: 'success' });
      expect(await validateSnapshot({ ...validate, identities: [old.identity] })).toMatchObject({
        errorCode: 'IDENTITY_MISMATCH',
      });
      // The old one is what it was.
      const { place, storage } = old;
      const before = {
        storage,
        place,
        ref: old.ref,
        signal: never,
        level: 'full',
        identities: [old.identity],
      } as const;
      expect(await validateSnapshot(before)).toMatchObject({ verdict: 'success' });
    },
  );

  it('leaves the encrypted contents as they are, byte for byte', async () => {
    const { recipient } = await generateKeyPair();
    await rewrap([recipient]);
    for (const name of [snapshotFiles.artifact, snapshotFiles.index]) {
      const [before, after] = [await readFile(join(old.directory, name)), await readFile(copyPath(name))];
      const headers = [await readAgeHeader(readerOf(before)), await readAgeHeader(readerOf(after))] as const;
      expect(headers[0].equals(headers[1])).toBe(false);
      expect(after.subarray(headers[1].length).equals(before.subarray(headers[0].length))).toBe(true);
    }
    const manifest = JSON.parse(await readFile(copyPath(snapshotFiles.manifest), 'utf8'));
    expect(manifest.encryption.recipients).toEqual([recipient]);
    const meta = JSON.parse(await readFile(copyPath(snapshotFiles.meta), 'utf8'));
    expect(meta.result.encryption.recipients).toEqual([recipient]);
    expect(meta.result.artifact_sha256).toBe(manifest.artifact.sha256);
  });

  it('is what the age command opens with each of the identities, and not with the old one', async () => {
    const pairs = [await generateKeyPair(), await generateKeyPair(), await generateKeyPair()];
    await rewrap(pairs.map((pair) => pair.recipient));
    const stored = await readFile(copyPath(snapshotFiles.index));
    const plain = await ageCommandDecrypt(await readFile(join(old.directory, snapshotFiles.index)), old.identity);
    for (const { identity } of pairs) expect((await ageCommandDecrypt(stored, identity)).equals(plain)).toBe(true);
    await expect(ageCommandDecrypt(stored, old.identity)).rejects.toThrow(/no identity matched/);
  });

  it('never gives a damaged snapshot a good checksum', async () => {
    const { recipient } = await generateKeyPair();
    for (const name of [snapshotFiles.artifact, snapshotFiles.index, snapshotFiles.manifest]) {
      const path = join(old.directory, name);
      const good = await readFile(path);
      for (const position of [good.length - 1, Math.floor(good.length / 2)]) {
        const bad = Buffer.from(good);
        bad.writeUInt8(bad.readUInt8(position) ^ 1, position);
        await writeFile(path, bad);
        await expect(rewrap([recipient])).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
      }
      await writeFile(path, good.subarray(0, -1));
      await expect(rewrap([recipient])).rejects.toMatchObject({ code: 'ARTIFACT_TRUNCATED' });
      await writeFile(path, good);
    }
    expect(await storedItems()).toEqual([['snap', null]]);
    await rewrap([recipient]);
  });

  it('leaves nothing behind when it is cancelled or has not the key', async () => {
    const { identity, recipient } = await generateKeyPair();
    await expect(rewrap([recipient], { identities: [identity] })).rejects.toMatchObject({ code: 'IDENTITY_MISMATCH' });
    const stop = new AbortController();
    const reason = new Error('cancelled');
    const onProgress = (): void => stop.abort(reason);
    await expect(rewrap([recipient], { signal: stop.signal, onProgress })).rejects.toBe(reason);
    expect(await storedItems()).toEqual([['snap', null]]);
  });

  it('does the same in a bucket', async () => {
    const connection = await connectToNewBucket(await sharedS3());
    try {
      const storage = createS3Storage(new S3Objects(connection, { prefix: 'p', signal: never }));
      const pending = await storage.create(old.place, 1);
      for (const name of [snapshotFiles.artifact, snapshotFiles.index, snapshotFiles.manifest, snapshotFiles.meta]) {
        const file = await pending.createFile(name);
        await file.write(await readFile(join(old.directory, name)));
        await file.close();
      }
      await pending.commit();
      const { identity, recipient } = await generateKeyPair();
      const ref = refOf(await rewrap([recipient], { storage }));
      for (const level of ['quick', 'full'] as const) {
        const known = { storage, level, signal: never };
        const after = { ...known, place: target, ref, identities: [identity] };
        const before = { ...known, place: old.place, ref: old.ref, identities: [old.identity] };
        expect(await validateSnapshot(after)).toMatchObject({ verdict: 'success' });
        expect(await validateSnapshot(before)).toMatchObject({ verdict: 'success' });
      }
      const index = await openIndex({ storage, place: target, identities: [identity] });
      try {
        const asked = { frames: index.frames, indexSha256: ref.index_sha256, cache: new BrowseCache(), path: '' };
        const page = await listFiles({ ...asked, recursive: false, search: null, offset: 0, limit: 10, signal: never });
        expect(page.entries.map(({ path }) => path)).toEqual(['file', 'small']);
      } finally {
        await index.close();
      }
    } finally {
      connection.close();
    }
  }, 240_000);

  it('does not disturb who reads the old copy meanwhile', async () => {
    const reader = await openArtifact({ storage: old.storage, place: old.place, identities: [old.identity] });
    try {
      await rewrap([(await generateKeyPair()).recipient]);
      const names: string[] = [];
      for await (const entry of reader.entries(never)) names.push(entry.path.toString());
      expect(names).toEqual(['.', 'file', 'small']);
    } finally {
      await reader.close();
    }
  });
});

it('an age header that is written anew gives the file key back, whatever the recipients', async () => {
  const fileKey = randomBytes(16);
  for (const type of ['x25519', 'post_quantum'] as const) {
    const pairs = await Promise.all([1, 2, 3].map(() => generateKeyPair(type)));
    const header = await encodeAgeHeader(
      fileKey,
      pairs.map((pair) => pair.recipient),
    );
    for (const { identity } of pairs)
      expect(Buffer.from(await openAgeHeader(header, [identity])).equals(fileKey)).toBe(true);
    // Its MAC covers every byte.
    for (let position = 0; position < header.length; position += 37) {
      const bad = Buffer.from(header);
      bad.writeUInt8(bad.readUInt8(position) ^ 2, position);
      await expect(openAgeHeader(bad, [pairs[2]?.identity ?? ''])).rejects.toMatchObject({
        code: expect.stringMatching(/^(ARTIFACT_CORRUPT|IDENTITY_MISMATCH)$/),
      });
    }
  }
});
