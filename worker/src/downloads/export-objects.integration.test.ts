import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { destinationConnection } from '@xvault/shared/destinations.ts';
import { generateKeyPair, type KeyPair, seal } from '@xvault/shared/sealing.ts';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readWorkerConfig } from '../config.ts';
import { writeExportObject } from '../engines/archive/export-object.ts';
import { createLocalFsStorage } from '../storage/local-fs.ts';
import { openStorage, type StorageDeps } from '../storage/open-storage.ts';
import type { S3Objects } from '../storage/s3-objects.ts';
import { exportPresigner, exportRemover } from './export-objects.ts';
import { type ExportPlace, ExportShelf } from './export-shelf.ts';

const name = 'snapshot-1.tar.gz';
const key = `exports/e1/${name}`;
const content = randomBytes(6_000_000);
let root = '';
let server: SharedRadosgw;
let deps: StorageDeps;
let objects: S3Objects;
let place: ExportPlace;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'xvault-exports-'));
  server = await sharedS3();
  const keys: KeyPair = await generateKeyPair();
  const config = readWorkerConfig({
    XVAULT_HUB_URL: 'http://127.0.0.1:9',
    XVAULT_REDIS_URL: 'redis://127.0.0.1:9',
    XVAULT_ENROLMENT_TOKEN: 'x'.repeat(32),
    XVAULT_CREDENTIALS_IDENTITY: keys.identity,
    XVAULT_ALLOW_NETWORKS: '127.0.0.0/8',
  });
  deps = { config, storage: createLocalFsStorage(join(root, 'storage')), workerId: 'worker' };
  const { endpoint, accessKey: access_key_id, secretKey: secret_access_key } = server;
  const bucket = await server.createBucket();
  const destination = destinationConnection.parse({ type: 's3', config: { endpoint, bucket, prefix: 'mine' } });
  const sealed = await seal(JSON.stringify({ access_key_id, secret_access_key }), keys.recipient);
  const signal = new AbortController().signal;
  const opened = await openStorage({ destination, sealed, signal }, deps);
  if (opened.objects === null) throw new Error('no bucket');
  objects = opened.objects;
  place = { object_key: objects.fullKey(key), destination, destination_secret_sealed: sealed };
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function* pieces(): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += 1_000_000) yield content.subarray(at, at + 1_000_000);
}
async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of objects.list('')) found.push(key);
  return found;
}

test('an export in a bucket is fetched by a short-lived address, in parts too, and goes when its time is over', async () => {
  const shelf = new ExportShelf(root, exportRemover(deps));
  await shelf.prepare('e1', '2026-01-01T00:00:00.000Z');
  await shelf.noteBucket('e1', place);
  expect(await writeExportObject(objects, key, pieces())).toMatchObject({ sizeBytes: content.length });
  const url = await exportPresigner(deps)(place, { name, contentType: 'application/gzip' });
  const answer = await fetch(url);
  expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="${name}"`);
  expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true);
  const rest = await fetch(url, { headers: { range: 'bytes=5999000-' } });
  expect([rest.status, Buffer.from(await rest.arrayBuffer()).equals(content.subarray(5_999_000))]).toEqual([206, true]);
  expect((await fetch(url.replace('e1', 'e2'))).status).toBe(403);

  expect(await shelf.sweep(Date.parse('2025-12-31T00:00:00.000Z'))).toBe(0);
  expect(await keys()).toEqual([key]);
  expect(await shelf.sweep(Date.parse('2026-01-02T00:00:00.000Z'))).toBe(1);
  expect([await keys(), await readdir(root)]).toEqual([[], []]);
});

test('a stream that breaks leaves nothing in the bucket; a bucket that is away keeps only its own exports', async () => {
  async function* broken(): AsyncGenerator<Buffer> {
    yield* pieces();
    throw new Error('the snapshot cannot be read');
  }
  await expect(writeExportObject(objects, key, broken())).rejects.toThrow('cannot be read');
  expect(await keys()).toEqual([]);

  const shelf = new ExportShelf(root, async () => {
    throw new Error('away');
  });
  for (const id of ['e1', 'e2']) await shelf.prepare(id, '2026-01-01T00:00:00.000Z');
  await shelf.noteBucket('e1', place);
  await expect(shelf.sweep(Date.now() + 1e12)).rejects.toThrow('1 exports');
  expect(await readdir(root)).toEqual(['e1']);
});
