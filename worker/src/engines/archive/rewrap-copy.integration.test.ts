import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { isCopy, type ProxyVerdict, startS3Proxy } from '@xvault/shared/testing/s3-proxy.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openArtifact } from '../../artifact/artifact-reader.ts';
import { type Manifest, manifestSchema } from '../../artifact/manifest.ts';
import { createS3Storage, type S3SnapshotStorage } from '../../storage/s3.ts';
import { connectS3 } from '../../storage/s3-client.ts';
import { S3Objects } from '../../storage/s3-objects.ts';
import { type SnapshotPlace, snapshotFiles } from '../../storage/storage.ts';
import { accessTo } from '../../testing/s3.ts';
import { encryptedStream } from './export-encrypted.ts';
import { restoreToDirectory } from './restore-directory.ts';
import { artifactOrigin } from './restore-origin.ts';
import { makeSnapshot, type TestFolder, type TestSnapshot, testFolder } from './restore-test-kit.ts';
import { type RewrappedSnapshot, rewrapSnapshot } from './rewrap.ts';
import { validateSnapshot } from './validate.ts';

const mebibyte = 1024 * 1024;
const never = new AbortController().signal;
const placeOf = (snapshotId: string): SnapshotPlace => ({ tenantId: 'tenant', sourceId: 'source', snapshotId });

let server: SharedRadosgw;
let bucket: string;
let folder: TestFolder;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  server = await sharedS3();
});
beforeEach(async () => {
  bucket = await server.createBucket();
  folder = await testFolder();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await folder.remove();
});

function storageAt(endpoint = server.endpoint): { objects: S3Objects; storage: S3SnapshotStorage } {
  const connection = connectS3({ ...accessTo(server, bucket), endpoint });
  closing.push(() => connection.close());
  const objects = new S3Objects(connection, { prefix: 'p', signal: never, partRetryPausesMs: [50] });
  return { objects, storage: createS3Storage(objects) };
}

async function storageThrough(judge: () => ProxyVerdict | Promise<ProxyVerdict>) {
  const proxy = await startS3Proxy(server.endpoint, (request) => (isCopy(request) ? judge() : null));
  closing.push(() => proxy.close());
  return storageAt(proxy.endpoint);
}

/** Files that do not compress, so that the artifact is as large. */
function makeIn(storage: S3SnapshotStorage, fileBytes: readonly number[]): Promise<TestSnapshot> {
  const files = fileBytes.map((bytes, at) => ({ path: `file ${at}`, type: 'file', data: randomBytes(bytes) }) as const);
  return makeSnapshot(folder.path, [{ path: '.', type: 'directory' }, ...files], storage);
}

function rewrap(old: TestSnapshot, storage: S3SnapshotStorage, recipient: string, target = placeOf('copy')) {
  const { place, ref, identity } = old;
  const known = { storage, place, ref, target, epoch: 2, identities: [identity], signal: never };
  return rewrapSnapshot({ ...known, recipients: [recipient] });
}

/** As the Hub would say after it. */
function refOf(old: TestSnapshot, { artifact, index, manifest }: RewrappedSnapshot): SnapshotRef {
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

async function manifestOf(storage: S3SnapshotStorage, place: SnapshotPlace): Promise<Manifest> {
  const file = await storage.open(place, snapshotFiles.manifest);
  const bytes = await file.read(0, file.sizeBytes);
  await file.close();
  return manifestSchema.parse(JSON.parse(bytes.toString()));
}

const full = (storage: S3SnapshotStorage, place: SnapshotPlace, ref: SnapshotRef, identities: string[]) =>
  validateSnapshot({ storage, place, ref, identities, level: 'full', signal: never });

async function left({ objects }: { objects: S3Objects }): Promise<{ uploads: number; snapshots: string[] }> {
  const { Uploads = [] } = await objects.connection.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  const snapshots = new Set<string>();
  for await (const { key } of objects.list('')) snapshots.add(key.split('/')[5] ?? key);
  return { uploads: Uploads.length, snapshots: [...snapshots] };
}

async function exported(storage: S3SnapshotStorage, place: SnapshotPlace, ref: SnapshotRef): Promise<number> {
  let bytes = 0;
  for await (const chunk of encryptedStream({ storage, place, ref, signal: never })) bytes += chunk.length;
  return bytes;
}

test('a large artifact gets its new header while almost nothing of it passes through; all of it is restored', async () => {
  const { storage } = storageAt();
  const fileBytes = [30 * mebibyte, 1, 36 * mebibyte + 5];
  const old = await makeIn(storage, fileBytes);
  const { identity, recipient } = await generateKeyPair();
  const working = storageAt();

  const made = await rewrap(old, working.storage, recipient);

  expect(old.ref.artifact_bytes).toBeGreaterThan(64 * mebibyte);
  expect(working.objects.bytesRead).toBeLessThan(old.ref.artifact_bytes / 6);
  const copy = placeOf('copy');
  const ref = refOf(old, made);
  const { artifact } = await manifestOf(storage, copy);
  const before = (await manifestOf(storage, old.place)).artifact;
  expect(artifact).toMatchObject({ sha256: ref.artifact_sha256, payload_sha256: before.payload_sha256 });
  expect(artifact.header_sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(before).not.toHaveProperty('header_sha256');
  expect(await full(storage, copy, ref, [identity])).toMatchObject({ verdict: 'success' });
  expect(await full(storage, copy, ref, [])).toMatchObject({ verdict: 'success' });
  expect(await full(storage, copy, ref, [old.identity])).toMatchObject({ errorCode: 'IDENTITY_MISMATCH' });
  expect(await full(storage, old.place, old.ref, [old.identity])).toMatchObject({ verdict: 'success' });
  expect(await exported(storage, copy, ref)).toBeGreaterThan(ref.artifact_bytes);

  const restored = [];
  for (const [place, key] of [
    [old.place, old.identity],
    [copy, identity],
  ] as const) {
    const reader = await openArtifact({ storage, place, identities: [key] });
    const targetPath = join(folder.path, place.snapshotId);
    const ids = { runId: place.snapshotId, epoch: 1, signal: never };
    await restoreToDirectory({
      origin: artifactOrigin(reader, null),
      targetPath,
      allowedRoots: [folder.path],
      allowSetuid: false,
      ...ids,
    });
    await reader.close();
    restored.push(targetPath);
  }
  const [first = '', second = ''] = restored;
  for (const [at, bytes] of fileBytes.entries()) {
    const [a, b] = [await readFile(join(first, `file ${at}`)), await readFile(join(second, `file ${at}`))];
    expect([a.length, a.equals(b)]).toEqual([bytes, true]);
  }
}, 240_000);

test('what was copied once is copied again, and damage of it is found as ever', async () => {
  const { objects, storage } = storageAt();
  const old = await makeIn(storage, [20 * mebibyte]);
  const [second, third] = [await generateKeyPair(), await generateKeyPair()];
  const copy = placeOf('copy');
  const ref = refOf(old, await rewrap(old, storage, second.recipient));
  const asOld: TestSnapshot = { ...old, place: copy, ref, identity: second.identity };
  const again = refOf(old, await rewrap(asOld, storage, third.recipient, placeOf('again')));
  expect((await manifestOf(storage, placeOf('again'))).artifact).toHaveProperty('header_sha256');
  expect(await full(storage, placeOf('again'), again, [third.identity])).toMatchObject({ verdict: 'success' });

  const key = `tenants/tenant/sources/source/snapshots/copy/${snapshotFiles.artifact}`;
  const good = await objects.read(key, 0, ref.artifact_bytes);
  // In the header, in the first part, in what the server copied.
  for (const position of [30, mebibyte, 15 * mebibyte]) {
    const bad = Buffer.from(good);
    bad.writeUInt8(bad.readUInt8(position) ^ 1, position);
    await objects.put(key, [bad]);
    for (const identities of [[second.identity], []]) {
      expect(await full(storage, copy, ref, identities)).toMatchObject({
        verdict: 'failed',
        errorCode: 'ARTIFACT_CORRUPT',
      });
    }
    await expect(exported(storage, copy, ref)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  }
  // Copied without being looked at, it still has the checksum of what it should be.
  const spread = refOf(old, await rewrap(asOld, storage, third.recipient, placeOf('spread')));
  expect(await full(storage, placeOf('spread'), spread, [])).toMatchObject({ errorCode: 'ARTIFACT_CORRUPT' });
}, 240_000);

test('where the server does not copy, all of it is read, compared and written', async () => {
  const refusing = await storageThrough(() => 501);
  const { storage } = refusing;
  const old = await makeIn(storage, [20 * mebibyte]);
  const { identity, recipient } = await generateKeyPair();
  const ref = refOf(old, await rewrap(old, storage, recipient));
  const { artifact } = await manifestOf(storage, placeOf('copy'));
  const before = (await manifestOf(storage, old.place)).artifact;
  expect(artifact).toMatchObject({ sha256: ref.artifact_sha256, payload_sha256: before.payload_sha256 });
  expect(artifact).not.toHaveProperty('header_sha256');
  expect(await full(storage, placeOf('copy'), ref, [identity])).toMatchObject({ verdict: 'success' });
  expect(await left(refusing)).toEqual({ uploads: 0, snapshots: ['copy', 'snap'] });

  // The next time from a copy of halves, also read.
  const copying = storageAt();
  const second = await generateKeyPair();
  const asOld: TestSnapshot = { ...old, place: placeOf('copy'), ref, identity };
  const halves = refOf(old, await rewrap(asOld, copying.storage, second.recipient, placeOf('halves')));
  const fromHalves: TestSnapshot = { ...old, place: placeOf('halves'), ref: halves, identity: second.identity };
  const read = refOf(old, await rewrap(fromHalves, storage, recipient, placeOf('read')));
  expect((await manifestOf(storage, placeOf('read'))).artifact).not.toHaveProperty('header_sha256');
  expect(await full(storage, placeOf('read'), read, [identity])).toMatchObject({ verdict: 'success' });
}, 240_000);

test('a worker that dies in the middle leaves the old one as it was, and a part that sweeping removes', async () => {
  const plain = storageAt();
  const old = await makeIn(plain.storage, [40 * mebibyte]);
  const held = new AbortController();
  let copies = 0;
  const reached = new AbortController();
  const dying = await storageThrough(async () => {
    copies += 1;
    if (copies < 2 || held.signal.aborted) return null;
    reached.abort();
    await once(held.signal, 'abort');
    return 'cut';
  });
  const { recipient } = await generateKeyPair();
  const rewrapping = rewrap(old, dying.storage, recipient);
  rewrapping.catch(() => undefined);
  await once(reached.signal, 'abort');

  expect(await left(plain)).toMatchObject({ uploads: 1 });
  expect(await full(plain.storage, old.place, old.ref, [old.identity])).toMatchObject({ verdict: 'success' });
  const items = [];
  for await (const { place, epoch } of plain.storage.list()) items.push([place.snapshotId, epoch]);
  expect(items).toEqual([
    ['copy', 2],
    ['snap', null],
  ]);
  await plain.storage.deletePart(placeOf('copy'), 2);
  expect(await left(plain)).toEqual({ uploads: 0, snapshots: ['snap'] });
  expect(await full(plain.storage, old.place, old.ref, [old.identity])).toMatchObject({ verdict: 'success' });
  // What comes late finds nothing to go on with, and makes nothing.
  held.abort();
  await expect(rewrapping).rejects.toMatchObject({ code: expect.stringMatching(/^STORAGE_/) });
  expect(await left(plain)).toEqual({ uploads: 0, snapshots: ['snap'] });
}, 240_000);

test('cancelled in the middle, it leaves nothing', async () => {
  const plain = storageAt();
  const old = await makeIn(plain.storage, [40 * mebibyte]);
  const { recipient } = await generateKeyPair();
  const stop = new AbortController();
  const reason = new Error('cancelled');
  const { place, ref, identity } = old;
  const known = { storage: plain.storage, place, ref, target: placeOf('copy'), epoch: 2, identities: [identity] };
  const onProgress = (): void => stop.abort(reason);
  const rewrapping = rewrapSnapshot({ ...known, recipients: [recipient], signal: stop.signal, onProgress });
  await expect(rewrapping).rejects.toBe(reason);
  expect(await left(plain)).toEqual({ uploads: 0, snapshots: ['snap'] });
}, 240_000);
