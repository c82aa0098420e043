import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { isCopy, type S3Proxy, startS3Proxy } from '@xvault/shared/testing/s3-proxy.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { accessTo } from '../testing/s3.ts';
import { createS3Storage, type S3SnapshotStorage } from './s3.ts';
import { connectS3 } from './s3-client.ts';
import type { S3ObjectSettings } from './s3-multipart.ts';
import { S3Objects } from './s3-objects.ts';
import { type SnapshotPlace, snapshotFiles } from './storage.ts';

const mebibyte = 1024 * 1024;
const never = new AbortController().signal;
const target: SnapshotPlace = { tenantId: 't', sourceId: 's', snapshotId: 'copy' };
const source: SnapshotPlace = { ...target, snapshotId: 'source' };
const head = Buffer.from('a new beginning\n');
const oldHeadBytes = 7;

let server: SharedRadosgw;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  server = await sharedS3();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Bucket {
  readonly objects: S3Objects;
  readonly storage: S3SnapshotStorage;
  uploads(): Promise<number>;
  keys(): Promise<string[]>;
}

/** A new bucket, or the one of another, by another endpoint. */
async function bucketAt(
  given: { proxy?: S3Proxy; bucket?: string; settings?: S3ObjectSettings } = {},
): Promise<Bucket> {
  const bucket = given.bucket ?? (await server.createBucket());
  const connection = connectS3({ ...accessTo(server, bucket), ...(given.proxy && { endpoint: given.proxy.endpoint }) });
  closing.push(() => connection.close());
  const settings = given.settings === undefined ? {} : { settings: given.settings };
  const objects = new S3Objects(connection, {
    prefix: 'pre fix/ü',
    signal: never,
    partRetryPausesMs: [50],
    ...settings,
  });
  return {
    objects,
    storage: createS3Storage(objects),
    async uploads() {
      return (await connection.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length ?? 0;
    },
    async keys() {
      const keys: string[] = [];
      for await (const { key } of objects.list('')) keys.push(key);
      return keys;
    },
  };
}

async function publish(storage: S3SnapshotStorage, data: Buffer): Promise<void> {
  const pending = await storage.create(source, 1);
  for (const [name, content] of [
    [snapshotFiles.artifact, data],
    [snapshotFiles.meta, Buffer.from('{}')],
  ] as const) {
    const file = await pending.createFile(name);
    await file.write(content);
    await file.close();
  }
  await pending.commit();
}

const sourceKeys = [
  'tenants/t/sources/s/snapshots/source/backup.tar.zst.enc',
  'tenants/t/sources/s/snapshots/source/meta.json',
];

test.each([
  ['parts of one size', 40 * mebibyte + 12_345],
  ['a last part of one byte', 24 * mebibyte - head.length + oldHeadBytes + 1],
])('what is copied is what was there, after the new beginning: %s', async (_, sizeBytes) => {
  const { objects, storage, uploads } = await bucketAt();
  const data = randomBytes(sizeBytes);
  await publish(storage, data);
  const pending = await storage.create(target, 2);
  const reader = await storage.open(source, snapshotFiles.artifact);
  const before = objects.bytesRead;
  const told: number[] = [];
  const onProgress = (bytes: number) => void told.push(bytes);
  expect(
    await pending.copyFile?.(snapshotFiles.artifact, { head, source: reader, from: oldHeadBytes, onProgress }),
  ).toBe(true);
  // One part and the edges of both objects.
  expect(objects.bytesRead - before).toBeLessThan(9 * mebibyte);
  expect(told.at(-1)).toBe(sizeBytes - oldHeadBytes);
  expect(told).toEqual([...told].sort((a, b) => a - b));
  const meta = await pending.createFile(snapshotFiles.meta);
  await meta.write(Buffer.from('{}'));
  await meta.close();
  await pending.commit();
  await reader.close();
  const copy = await storage.open(target, snapshotFiles.artifact);
  expect((await copy.read(0, copy.sizeBytes)).equals(Buffer.concat([head, data.subarray(oldHeadBytes)]))).toBe(true);
  await copy.close();
  expect(await uploads()).toBe(0);
});

test('what is small, or is no object of the same server, is left to be written', async () => {
  const [first, second] = [await bucketAt(), await bucketAt()];
  await publish(first.storage, randomBytes(15 * mebibyte));
  const small = await first.storage.open(source, snapshotFiles.artifact);
  const pending = await first.storage.create(target, 2);
  expect(await pending.copyFile?.(snapshotFiles.artifact, { head, source: small, from: 0 })).toBe(false);
  await pending.abort();
  await publish(second.storage, randomBytes(20 * mebibyte));
  const other = await second.storage.open(source, snapshotFiles.artifact);
  const again = await first.storage.create(target, 3);
  expect(await again.copyFile?.(snapshotFiles.artifact, { head, source: other, from: 0 })).toBe(false);
  await again.abort();
  expect(await first.keys()).toEqual(sourceKeys);
});

test.each([501, 403, 400, 405])(
  'a server that answers %i to copies: nothing of it stays, and it can be written',
  async (status) => {
    const proxy = await startS3Proxy(server.endpoint, (request) => (isCopy(request) ? status : null));
    closing.push(() => proxy.close());
    const { storage, uploads, keys } = await bucketAt({ proxy });
    await publish(storage, randomBytes(20 * mebibyte));
    const reader = await storage.open(source, snapshotFiles.artifact);
    const pending = await storage.create(target, 2);
    expect(await pending.copyFile?.(snapshotFiles.artifact, { head, source: reader, from: 0 })).toBe(false);
    expect(await uploads()).toBe(0);
    const file = await pending.createFile(snapshotFiles.artifact);
    await file.write(head);
    await file.close();
    await pending.abort();
    await reader.close();
    expect(await keys()).toEqual(sourceKeys);
  },
);

test('a server that stumbles is asked again; one that is gone fails the copy, which leaves nothing', async () => {
  let copies = 0;
  let gone = false;
  const proxy = await startS3Proxy(server.endpoint, (request) => {
    if (gone) return isCopy(request) ? 'cut' : null;
    copies += isCopy(request) ? 1 : 0;
    return isCopy(request) && copies <= 2 ? 503 : null;
  });
  closing.push(() => proxy.close());
  const { storage, uploads, keys } = await bucketAt({ proxy });
  await publish(storage, randomBytes(20 * mebibyte));
  const reader = await storage.open(source, snapshotFiles.artifact);
  const copy = { head, source: reader, from: 0 };
  const pending = await storage.create(target, 2);
  expect(await pending.copyFile?.(snapshotFiles.artifact, copy)).toBe(true);
  await pending.abort();
  gone = true;
  const again = await storage.create(target, 3);
  await expect(again.copyFile?.(snapshotFiles.artifact, copy)).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' });
  await again.abort();
  await reader.close();
  expect(await keys()).toEqual(sourceKeys);
  expect(await uploads()).toBe(0);
}, 120_000);

test('an object that is another one now is not copied', async () => {
  const { objects, storage, keys, uploads } = await bucketAt();
  await publish(storage, randomBytes(20 * mebibyte));
  const reader = await storage.open(source, snapshotFiles.artifact);
  const [key = ''] = sourceKeys;
  await objects.put(key, [randomBytes(20 * mebibyte)]);
  const pending = await storage.create(target, 2);
  const copying = pending.copyFile?.(snapshotFiles.artifact, { head, source: reader, from: 0 });
  await expect(copying).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  await pending.abort();
  await reader.close();
  expect(await keys()).toEqual(sourceKeys);
  expect(await uploads()).toBe(0);
});

test('a copy is kept as the destination says', async () => {
  let begun: IncomingHttpHeaders | undefined;
  const proxy = await startS3Proxy(server.endpoint, (request) => {
    const isBeginning = request.method === 'POST' && /[?&]uploads(=|&|$)/.test(request.url ?? '');
    if (isBeginning && decodeURIComponent(request.url ?? '').includes('/copy/')) begun = request.headers;
    return null;
  });
  closing.push(() => proxy.close());
  const settings = { storageClass: 'STANDARD', serverSideEncryption: 'none', kmsKeyId: null } as const;
  const { storage } = await bucketAt({ proxy, settings });
  await publish(storage, randomBytes(20 * mebibyte));
  const reader = await storage.open(source, snapshotFiles.artifact);
  const pending = await storage.create(target, 2);
  expect(await pending.copyFile?.(snapshotFiles.artifact, { head, source: reader, from: 0 })).toBe(true);
  await pending.abort();
  await reader.close();
  expect(begun).toMatchObject({ 'x-amz-storage-class': 'STANDARD' });
});
