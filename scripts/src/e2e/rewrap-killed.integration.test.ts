import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { isCopy, type S3Proxy, startS3Proxy } from '@xvault/shared/testing/s3-proxy.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type E2e, startE2e } from './fixture.ts';

const made = z.object({ id: z.string() });
const accepted = z.object({ run_ids: z.array(z.string()) });
let server: SharedRadosgw;
let bucket: string;
let proxy: S3Proxy;
let e2e: E2e;
/** While set, copies within the bucket do not come to an end. */
let holding: AbortController | undefined;
let heldCopies = 0;

beforeAll(async () => {
  server = await sharedS3();
  bucket = await server.createBucket();
  proxy = await startS3Proxy(server.endpoint, async (request) => {
    if (!isCopy(request) || holding === undefined) return null;
    heldCopies += 1;
    await once(holding.signal, 'abort');
    return 'cut';
  });
  e2e = await startE2e({ extraWorker: { XVAULT_ALLOW_NETWORKS: '127.0.0.0/8' } });
});
afterAll(async () => {
  await e2e?.stop();
  await proxy?.close();
});

async function found(query: string, pattern: RegExp): Promise<string[]> {
  const answer = await signedRequest({ ...server, method: 'GET', path: `/${bucket}`, query });
  return [...answer.matchAll(pattern)].map(([, text = '']) => text);
}

/** The directories that snapshots, or their attempts, have in the bucket. */
const storedSnapshots = async () =>
  new Set((await found('', /<Key>([^<]*)<\/Key>/g)).map((key) => key.split('/snapshots/')[1]?.split('/')[0]));
const uploads = async () => (await found('uploads=', /<UploadId>([^<]*)<\/UploadId>/g)).length;

test('a worker killed while a snapshot in a bucket is rewrapped: the old one stays good, the next attempt does it, nothing else is left', async () => {
  const { customer, platform } = e2e;
  const tree = join(e2e.folder, 'tree');
  await mkdir(tree);
  await writeFile(join(tree, 'random'), randomFillSync(Buffer.alloc(40 * 2 ** 20)));
  const secret = { access_key_id: server.accessKey, secret_access_key: server.secretKey };
  const config = { endpoint: proxy.endpoint, bucket };
  const destination = await customer.api.post('/api/v1/destinations', { name: 's3', type: 's3', config, secret }, made);
  const sourceId = await customer.source({ type: 'local', config: { path: tree } });
  const ids = { source_id: sourceId, destination_id: destination.id };
  const job = await customer.api.post('/api/v1/jobs', { name: 'job', ...ids, engine: 'archive' }, made);
  const backup = await customer.backUp(job.id);
  expect([backup.status, backup.error_summary]).toEqual(['success', null]);
  const id = backup.snapshot_id ?? '';
  const before = await customer.snapshot(id);

  holding = new AbortController();
  await customer.api.post('/api/v1/tenant/keys/rotate', {}, z.unknown());
  const { run_ids: runIds } = await customer.api.post('/api/v1/tenant/keys/rewrap', undefined, accepted);
  const [runId = ''] = runIds;
  expect(runIds).toHaveLength(1);
  await expect.poll(() => heldCopies, { timeout: 60_000 }).toBeGreaterThan(0);
  await platform.killWorker('SIGKILL');
  expect(await uploads()).toBe(1);
  expect((await storedSnapshots()).has(id)).toBe(true);
  expect((await customer.snapshot(id)).locator).toEqual(before.locator);

  holding.abort();
  holding = undefined;
  await platform.startWorker();
  const ended = await customer.ended(runId);
  expect([ended.status, ended.error_summary]).toEqual(['success', null]);
  const after = await customer.snapshot(id);
  expect(after.locator).not.toEqual(before.locator);
  expect((await customer.post(`/api/v1/snapshots/${id}/validate`, { level: 'full' })).status).toBe('success');
  expect((await customer.snapshot(id)).validation_status).toBe('success');
  const target = { type: 'directory', path: join(e2e.folder, 'restored') };
  expect((await customer.post(`/api/v1/snapshots/${id}/restore`, { paths: null, target })).status).toBe('success');
  expect((await compareTrees(tree, target.path)).differences).toEqual([]);
  const present = 'object_key' in after.locator ? after.locator.object_key.split('/').at(-1) : '';
  await expect.poll(storedSnapshots, { timeout: 30_000 }).toEqual(new Set([present]));
  expect(await uploads()).toBe(0);
});
