import { randomFillSync } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiClient, ApiError } from '../api/client.ts';
import { type E2e, startE2e } from './fixture.ts';
import { type SecondWorker, secondId, startSecondWorker } from './second-worker.ts';

const made = z.object({ id: z.string() });
let server: SharedRadosgw;
let bucket: string;
let e2e: E2e;
let operator: ApiClient;
let second: SecondWorker;

beforeAll(async () => {
  server = await sharedS3();
  bucket = await server.createBucket();
  const extraWorker = {
    XVAULT_ALLOW_NETWORKS: '127.0.0.0/8',
    XVAULT_S3_ENDPOINT: server.endpoint,
    XVAULT_S3_BUCKET: bucket,
    XVAULT_S3_PREFIX: 'platform',
    XVAULT_S3_ACCESS_KEY_ID: server.accessKey,
    XVAULT_S3_SECRET_ACCESS_KEY: server.secretKey,
  };
  e2e = await startE2e({ extraWorker });
  const { platform } = e2e;
  operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
  second = await startSecondWorker(e2e, operator, extraWorker);
});
afterAll(async () => {
  await second?.process.end('SIGTERM', 20_000);
  await e2e?.stop();
});

async function makeTree(name: string): Promise<string> {
  const tree = join(e2e.folder, name);
  await mkdir(join(tree, 'sub'), { recursive: true });
  await writeFile(join(tree, 'sub', 'file'), 'content of the file');
  await writeFile(join(tree, 'large'), Buffer.alloc(3_000_000, 'xvault'));
  return tree;
}

const keysIn = async () => {
  const answer = await signedRequest({ ...server, method: 'GET', path: `/${bucket}` });
  return [...answer.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => key);
};

async function onlyWorker(id: string, wanted: boolean): Promise<void> {
  const workers = await operator.get('/api/v1/workers', z.object({ items: z.array(made) }));
  for (const worker of workers.items) {
    if ((worker.id === id) === wanted) continue;
    await operator.post(`/api/v1/workers/${worker.id}/drain`, {}, z.unknown());
  }
  for (const worker of workers.items) {
    if ((worker.id === id) === wanted) await operator.post(`/api/v1/workers/${worker.id}/resume`, {}, z.unknown());
  }
}

async function statusOf(request: Promise<unknown>): Promise<number> {
  try {
    await request;
    return 200;
  } catch (error) {
    if (error instanceof ApiError) return error.status;
    throw error;
  }
}

async function roundTrip(name: string, destination: Record<string, unknown>, keyPrefix: string): Promise<void> {
  const { customer } = e2e;
  const { api } = customer;
  const tree = await makeTree(name);
  const { id: destinationId } = await api.post('/api/v1/destinations', { name, ...destination }, made);
  expect(await customer.post(`/api/v1/destinations/${destinationId}/probe`, {})).toMatchObject({ status: 'success' });
  expect((await keysIn()).filter((key) => key.startsWith(keyPrefix))).toEqual([]);

  const sourceId = await customer.source({ type: 'local', config: { path: tree } });
  const job = { name, source_id: sourceId, destination_id: destinationId, engine: 'archive', max_attempts: 1 };
  const { id: jobId } = await api.post('/api/v1/jobs', job, made);
  await onlyWorker(secondId, false);
  const backup = await customer.backUp(jobId);
  expect([backup.status, backup.error_summary]).toEqual(['success', null]);
  const snapshotId = backup.snapshot_id ?? '';
  const { locator } = await customer.snapshot(snapshotId);
  const base = `${keyPrefix}tenants/${customer.tenantId}/sources/${sourceId}/snapshots/${snapshotId}`;
  expect(locator).toMatchObject({ storage_backend: 's3', bucket, object_key: base, etag: expect.any(String) });
  expect((await keysIn()).filter((key) => key.startsWith(keyPrefix))).toEqual([
    `${base}/backup.tar.zst.enc`,
    `${base}/index.jsonl.zst.enc`,
    `${base}/manifest.json`,
    `${base}/meta.json`,
  ]);

  await onlyWorker(secondId, true);
  expect(await customer.post(`/api/v1/snapshots/${snapshotId}/validate`, {})).toMatchObject({ status: 'success' });
  expect((await customer.snapshot(snapshotId)).validation_status).toBe('success');
  const files = z.object({ entries: z.array(z.object({ path: z.string() })) });
  const found = await api.get(`/api/v1/snapshots/${snapshotId}/files?path=sub`, files);
  expect(found.entries.map(({ path }) => path)).toContain('sub/file');
  const restored = join(e2e.folder, `${name}-restored`);
  const body = { target: { type: 'directory', path: restored } };
  expect(await customer.post(`/api/v1/snapshots/${snapshotId}/restore`, body)).toMatchObject({ status: 'success' });
  expect((await compareTrees(tree, restored)).differences).toEqual([]);
  expect(await readFile(join(restored, 'sub', 'file'), 'utf8')).toBe('content of the file');

  const inUse = () => statusOf(api.delete(`/api/v1/destinations/${destinationId}`, z.null()));
  expect(await inUse()).toBe(409);
  await api.delete(`/api/v1/jobs/${jobId}`, z.unknown());
  expect(await inUse()).toBe(409);
  const { email, password } = e2e.platform.operator;
  const forTenant = { 'x-xvault-tenant': customer.tenantId };
  const admin = await ApiClient.signIn(operator.baseUrl, email, password, forTenant);
  const run = await admin.delete(`/api/v1/snapshots/${snapshotId}?force=true`, made);
  expect(await customer.ended(run.id)).toMatchObject({ status: 'success' });
  expect((await keysIn()).filter((key) => key.startsWith(keyPrefix))).toEqual([]);
  expect(await inUse()).toBe(200);
}

test('a snapshot in a bucket of the customer’s is made by one worker and checked, browsed, restored and deleted by another', async () => {
  const config = { endpoint: server.endpoint, bucket, prefix: 'mine' };
  const secret = { access_key_id: server.accessKey, secret_access_key: server.secretKey };
  await roundTrip('own', { type: 's3', config, secret }, 'mine/');
});

test('the same in the platform’s bucket, which the workers know', async () => {
  await roundTrip('platform', { type: 'platform_s3' }, 'platform/');
});

test('objects of a bucket are backed up and put back into it, under another prefix', async () => {
  const { customer } = e2e;
  const objects = { 'photos/2024/a b.jpg': 'one', 'photos/2025/ü': 'two', 'photos/index': 'three', other: 'x' };
  const source = await server.createBucket();
  const pathOf = (key: string) => `/${source}/${key.split('/').map(encodeURIComponent).join('/')}`;
  for (const [key, body] of Object.entries({ ...objects, 'photos//odd': 'left out' })) {
    await signedRequest({ ...server, method: 'PUT', path: pathOf(key), body });
  }
  const secret = { access_key_id: server.accessKey, secret_access_key: server.secretKey };
  const config = { endpoint: server.endpoint, bucket: source, prefix: 'photos' };
  const sourceId = await customer.source({ type: 's3', config, secret });
  expect(await customer.post(`/api/v1/sources/${sourceId}/probe`, {})).toMatchObject({ status: 'success' });
  const backup = await customer.backUp(await customer.job(sourceId));
  expect([backup.status, backup.error_summary]).toEqual(['warning', null]);
  const codes = (await customer.events(backup.id)).map(({ code }) => code);
  expect(codes).toContain('ITEM_NAME_UNSUPPORTED');

  const body = { target: { type: 'source', path: '/back' } };
  const restored = await customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, body);
  expect([restored.status, restored.error_summary]).toEqual(['success', null]);
  for (const [key, content] of Object.entries(objects)) {
    if (key === 'other') continue;
    const path = pathOf(key.replace('photos', 'back'));
    expect(await signedRequest({ ...server, method: 'GET', path })).toBe(content);
  }
});

test('a destination that cannot be written says why, and can be put right', async () => {
  const { customer } = e2e;
  const secret = { access_key_id: server.accessKey, secret_access_key: 'wrong' };
  const config = { endpoint: server.endpoint, bucket };
  const { id } = await customer.api.post('/api/v1/destinations', { name: 'wrong', type: 's3', config, secret }, made);
  const probe = () => customer.post(`/api/v1/destinations/${id}/probe`, {});
  expect(await probe()).toMatchObject({ status: 'failed', error_code: 'STORAGE_AUTH_FAILED' });
  const patch = (body: unknown) => customer.api.patch(`/api/v1/destinations/${id}`, body, z.unknown());
  await patch({
    secret: { ...secret, secret_access_key: server.secretKey },
    config: { ...config, bucket: 'not-there' },
  });
  expect(await probe()).toMatchObject({ status: 'failed', error_code: 'STORAGE_BUCKET_NOT_FOUND' });
  await patch({ config });
  expect(await probe()).toMatchObject({ status: 'success' });
});

test('what a killed worker had uploaded is gone when the next attempt has made the snapshot', async () => {
  const { customer } = e2e;
  const tree = await makeTree('killed');
  // Random bytes at a high level take their time.
  await writeFile(join(tree, 'random'), randomFillSync(Buffer.alloc(28 * 2 ** 20)));
  const config = { endpoint: server.endpoint, bucket, prefix: 'killed' };
  const secret = { access_key_id: server.accessKey, secret_access_key: server.secretKey };
  const body = { name: 'killed', type: 's3', config, secret };
  const { id: destinationId } = await customer.api.post('/api/v1/destinations', body, made);
  const sourceId = await customer.source({ type: 'local', config: { path: tree } });
  const options = { compression_level: 19 };
  const ids = { source_id: sourceId, destination_id: destinationId };
  const job = { name: 'killed', ...ids, engine: 'archive', options, max_attempts: 3 };
  const { id: jobId } = await customer.api.post('/api/v1/jobs', job, made);
  const uploads = async () => {
    const answer = await signedRequest({ ...server, method: 'GET', path: `/${bucket}`, query: 'uploads=' });
    return [...answer.matchAll(/<UploadId>/g)].length;
  };
  await onlyWorker(secondId, true);
  const runId = await customer.startBackup(jobId);
  await expect.poll(uploads, { timeout: 60_000 }).toBe(1);
  await second.process.end('SIGKILL', 10_000);
  await onlyWorker(secondId, false);
  const ended = await customer.ended(runId);
  expect([ended.status, ended.error_summary]).toEqual(['success', null]);
  expect(await uploads()).toBe(0);
  const keys = (await keysIn()).filter((key) => key.startsWith('killed/'));
  expect(keys.map((key) => key.split('/').at(-1))).toEqual([
    'backup.tar.zst.enc',
    'index.jsonl.zst.enc',
    'manifest.json',
    'meta.json',
  ]);
  expect(new Set(keys.map((key) => key.split('/').at(-2)))).toEqual(new Set([ended.snapshot_id]));
});
