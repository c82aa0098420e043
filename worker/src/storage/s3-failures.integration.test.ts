import { randomBytes } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { startS3Proxy } from '@xvault/shared/testing/s3-proxy.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { pino } from 'pino';
import { beforeAll, expect, test } from 'vitest';
import { createAddressGuard } from '../net/guard.ts';
import { accessTo } from '../testing/s3.ts';
import { createS3Storage } from './s3.ts';
import { connectS3, type S3Access } from './s3-client.ts';
import { S3Objects } from './s3-objects.ts';
import { type StoredItem, snapshotFiles } from './storage.ts';
import { sweepStorage } from './sweeper.ts';

const mebibyte = 1024 * 1024;
const place = { tenantId: 't', sourceId: 's', snapshotId: 'snap' };
const never = new AbortController().signal;
let server: SharedRadosgw;
let bucket: string;
beforeAll(async () => {
  server = await sharedS3();
  bucket = await server.createBucket();
});

function objectsOf(access: Partial<S3Access> = {}, prefix = '', signal = never): S3Objects {
  const connection = connectS3({ ...accessTo(server, bucket), ...access });
  return new S3Objects(connection, { prefix, signal, partRetryPausesMs: [100] });
}

async function uploadsIn(objects: S3Objects): Promise<number> {
  const { client } = objects.connection;
  return (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length ?? 0;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test('an upload of many parts holds every byte, in order, and is read in ranges', async () => {
  const objects = objectsOf();
  const pieces = Array.from({ length: 37 }, () => randomBytes(mebibyte));
  const { sizeBytes, etag } = await objects.put('large', pieces);
  expect(sizeBytes).toBe(37 * mebibyte);
  expect(etag).toContain('-5');
  const found = await objects.head('large');
  expect(found).toMatchObject({ sizeBytes, etag });
  const all = Buffer.concat(pieces);
  expect((await objects.read('large', 0, sizeBytes, etag)).equals(all)).toBe(true);
  const middle = await objects.read('large', 8 * mebibyte - 5, 10);
  expect(middle.equals(all.subarray(8 * mebibyte - 5, 8 * mebibyte + 5))).toBe(true);
  await objects.put('large', [Buffer.from('another')]);
  await expect(objects.read('large', 0, 3, etag)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
});

test.each([
  ['a wrong secret', { secret: { access_key_id: '', secret_access_key: 'wrong' } }, 'STORAGE_AUTH_FAILED'],
  ['an unknown key', { secret: { access_key_id: 'nobody', secret_access_key: 'wrong' } }, 'STORAGE_AUTH_FAILED'],
  ['a bucket that is not there', { bucket: 'not-there' }, 'STORAGE_BUCKET_NOT_FOUND'],
  ['a port where nobody is', { endpoint: 'http://127.0.0.1:1' }, 'STORAGE_UNREACHABLE'],
  ['a host that is not there', { endpoint: 'http://no.such.host.invalid' }, 'STORAGE_UNREACHABLE'],
  ['a forbidden network', { guard: createAddressGuard({ allow: [] }) }, 'SOURCE_ADDRESS_FORBIDDEN'],
  [
    'a name in a forbidden network',
    { guard: createAddressGuard({ allow: [] }), endpoint: 'http://localhost:1' },
    'SOURCE_ADDRESS_FORBIDDEN',
  ],
] as const)('%s fails with its own code, whatever is asked', async (_, change, code) => {
  const access: Partial<S3Access> = { ...change };
  if (access.secret?.access_key_id === '') {
    Object.assign(access, { secret: { access_key_id: server.accessKey, secret_access_key: 'wrong' } });
  }
  const objects = objectsOf(access);
  const storage = createS3Storage(objects);
  await expect(storage.create(place, 1)).rejects.toMatchObject({ code });
  await expect(storage.open(place, snapshotFiles.index)).rejects.toMatchObject({ code });
  await expect(storage.delete(place)).rejects.toMatchObject({ code });
  await expect(objects.put('key', [Buffer.from('x')])).rejects.toMatchObject({ code });
});

test('what the bucket’s policy denies is a missing permission', async () => {
  const denied = await server.createBucket();
  const policy = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `arn:aws:s3:::${denied}/*` }],
  };
  await signedRequest({ ...server, method: 'PUT', path: `/${denied}`, query: 'policy=', body: JSON.stringify(policy) });
  const storage = createS3Storage(objectsOf({ bucket: denied }));
  await expect(storage.create(place, 1)).rejects.toMatchObject({ code: 'STORAGE_PERMISSION' });
});

test('an account that may hold no more is full', async () => {
  const user = await server.createUser({ maxBytes: 4096 });
  const path = '/b-of-a-small-account';
  await signedRequest({ ...server, ...user, method: 'PUT', path });
  const secret = { access_key_id: user.accessKey, secret_access_key: user.secretKey };
  const objects = objectsOf({ bucket: path.slice(1), secret });
  await expect(objects.put('key', [randomBytes(100_000)])).rejects.toMatchObject({ code: 'STORAGE_FULL' });
});

test('requests that fail for a moment are made again', async () => {
  let count = 0;
  // Every third request; parts, their ends and reads alike.
  const proxy = await startS3Proxy(server.endpoint, () => {
    count += 1;
    return count % 3 === 1 ? 503 : null;
  });
  const objects = objectsOf({ endpoint: proxy.endpoint }, 'retried');
  const data = randomBytes(20 * mebibyte);
  await objects.put('key', [data]);
  expect((await objects.read('key', 0, data.length)).equals(data)).toBe(true);
  expect(count).toBeGreaterThan(5);
  objects.connection.close();
  await proxy.close();
});

test('a part outlasts a server that is away for longer than one request is tried', async () => {
  let parts = 0;
  const proxy = await startS3Proxy(server.endpoint, ({ method, url }) => {
    if (method !== 'PUT' || !url?.includes('partNumber=2')) return null;
    parts += 1;
    return parts <= 7 ? 'cut' : null;
  });
  const objects = objectsOf({ endpoint: proxy.endpoint }, 'patient');
  const data = randomBytes(20 * mebibyte);
  await objects.put('key', [data]);
  expect(parts).toBe(8);
  expect((await objects.read('key', 0, data.length)).equals(data)).toBe(true);
  objects.connection.close();
  await proxy.close();
});

test('a download that breaks goes on where it broke', async () => {
  const data = randomBytes(6 * mebibyte);
  await objectsOf().put('broken', [data]);
  const tcp = await startTcpProxy(Number(new URL(server.endpoint).port));
  const objects = objectsOf({ endpoint: `http://127.0.0.1:${tcp.port}` });
  const reading = objects.read('broken', 0, data.length);
  for (const sent of [1, 3, 5]) {
    while (tcp.bytesToClients() < sent * mebibyte) await new Promise(setImmediate);
    tcp.cut();
  }
  expect((await reading).equals(data)).toBe(true);
  await tcp.close();
});

test('when the server goes away in the middle of an upload, the backup fails, and what is left is swept', async () => {
  let gone = false;
  const proxy = await startS3Proxy(server.endpoint, () => (gone ? 'cut' : null));
  const through = objectsOf({ endpoint: proxy.endpoint }, 'gone');
  const pending = await createS3Storage(through).create(place, 3);
  const writer = await pending.createFile(snapshotFiles.artifact);
  for (let count = 0; count < 20; count += 1) await writer.write(randomBytes(mebibyte));
  gone = true;
  const rest = async () => {
    for (let count = 0; count < 100; count += 1) await writer.write(randomBytes(mebibyte));
  };
  await expect(rest()).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' });
  await expect(pending.abort()).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' });
  await proxy.close();

  const objects = objectsOf({}, 'gone');
  const storage = createS3Storage(objects);
  expect(await all(storage.list())).toEqual([{ place, epoch: 3 }]);
  expect(await uploadsIn(objects)).toBe(1);
  const hub = {
    removable: [] as { snapshot_id: string; epoch: number | null }[],
    storageLive: async () => ({ removable: hub.removable }),
  };
  const sweep = () => sweepStorage({ storage, hub, workerId: 'w', logger: pino({ level: 'silent' }), shared: true });
  expect(await sweep()).toBe(0);
  expect(await uploadsIn(objects)).toBe(1);
  hub.removable = [{ snapshot_id: 'snap', epoch: 3 }];
  expect(await sweep()).toBe(1);
  expect(await uploadsIn(objects)).toBe(0);
  expect(await all(objects.list(''))).toEqual([]);
});

test('a cancelled upload ends at once and leaves nothing behind', async () => {
  const stop = new AbortController();
  const objects = objectsOf({}, 'cancelled', stop.signal);
  const pending = await createS3Storage(objects).create(place, 1);
  const writer = await pending.createFile(snapshotFiles.artifact);
  for (let count = 0; count < 20; count += 1) await writer.write(randomBytes(mebibyte));
  stop.abort(new Error('cancelled by the customer'));
  await expect(writer.close()).rejects.toThrow('cancelled by the customer');
  await pending.abort();
  expect(await uploadsIn(objectsOf())).toBe(0);
  expect(await all(objectsOf({}, 'cancelled').list(''))).toEqual([]);
});

test('an interrupted deletion is no snapshot any more, and is finished by the next', async () => {
  const objects = objectsOf({}, 'deletion');
  const storage = createS3Storage(objects);
  const pending = await storage.create(place, 1);
  for (const name of Object.values(snapshotFiles)) {
    const writer = await pending.createFile(name);
    await writer.write(Buffer.from(name));
    await writer.close();
  }
  await pending.commit();
  await objects.delete([`tenants/t/sources/s/snapshots/snap/${snapshotFiles.meta}`]);
  await expect(storage.open(place, snapshotFiles.artifact)).rejects.toMatchObject({ code: 'ARTIFACT_MISSING' });
  expect(await all(storage.list())).toEqual<StoredItem[]>([{ place, epoch: 0 }]);
  await storage.delete(place);
  expect(await all(objects.list(''))).toEqual([]);
});

test('more keys than one request takes are listed and deleted', async () => {
  const objects = objectsOf({}, 'many');
  const keys = Array.from({ length: 1100 }, (_, at) => `key-${String(at).padStart(4, '0')}`);
  for (let at = 0; at < keys.length; at += 50) {
    await Promise.all(keys.slice(at, at + 50).map((key) => objects.put(key, [])));
  }
  const listed = async () => (await all(objects.list(''))).map(({ key }) => key);
  expect(await listed()).toEqual(keys);
  await objects.delete(keys);
  expect(await listed()).toEqual([]);
});

test('a presigned link gives the object and its ranges to whoever has it, under the name that it says', async () => {
  const objects = objectsOf({}, 'exports');
  await objects.put('export', [Buffer.from('0123456789')]);
  const url = await objects.presign('export', { expiresInSeconds: 60, fileName: 'a "file".zip' });
  const whole = await fetch(url);
  expect(await whole.text()).toBe('0123456789');
  expect(whole.headers.get('content-disposition')).toBe('attachment; filename="a__file_.zip"');
  const part = await fetch(url, { headers: { range: 'bytes=3-5' } });
  expect([part.status, await part.text()]).toEqual([206, '345']);
  expect((await fetch(url.replace(/Signature=[^&]*/, 'Signature=0'))).status).toBe(403);
});
