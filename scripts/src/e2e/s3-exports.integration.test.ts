import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { runView } from '../api/runs.ts';
import { type E2e, startE2e } from './fixture.ts';

const made = z.object({ id: z.string() });
const accepted = z.object({ run: runView, export_id: z.string() });
const exported = z.object({ status: z.string(), sha256: z.string(), size_bytes: z.number() });
let server: SharedRadosgw;
let e2e: E2e;

beforeAll(async () => {
  server = await sharedS3();
  const extraWorker = {
    XVAULT_ALLOW_NETWORKS: '127.0.0.0/8',
    XVAULT_S3_ENDPOINT: server.endpoint,
    XVAULT_S3_BUCKET: await server.createBucket(),
    XVAULT_S3_ACCESS_KEY_ID: server.accessKey,
    XVAULT_S3_SECRET_ACCESS_KEY: server.secretKey,
  };
  e2e = await startE2e({ extraWorker });
});
afterAll(() => e2e?.stop());

test('an export of a snapshot in a bucket is fetched from the bucket itself, by one claimant', async () => {
  const { customer, folder } = e2e;
  const { api } = customer;
  const tree = join(folder, 'tree');
  await mkdir(tree);
  await writeFile(join(tree, 'file'), Buffer.alloc(2_000_000, 'xvault'));
  const source = await customer.source({ type: 'local', config: { path: tree } });
  const destination = await api.post('/api/v1/destinations', { name: 'platform', type: 'platform_s3' }, made);
  const ids = { source_id: source, destination_id: destination.id };
  const job = await api.post('/api/v1/jobs', { name: 'job', ...ids, engine: 'archive' }, made);
  const snapshotId = (await customer.backUp(job.id)).snapshot_id;
  for (const format of ['zip', 'encrypted']) {
    const asked = await api.post(
      `/api/v1/snapshots/${snapshotId}/restore`,
      { target: { type: 'export', format } },
      accepted,
    );
    expect(await customer.ended(asked.run.id)).toMatchObject({ status: 'success', error_code: null });
    const view = await api.get(`/api/v1/exports/${asked.export_id}`, exported);
    const { url } = await api.post(`/api/v1/exports/${asked.export_id}/link`, {}, z.object({ url: z.string() }));
    const described = await fetch(url, { method: 'HEAD', redirect: 'manual' });
    expect([described.status, Number(described.headers.get('content-length'))]).toEqual([200, view.size_bytes]);
    const answer = await fetch(url, { headers: { range: `bytes=0-${view.size_bytes - 1}` } });
    expect([answer.status, answer.redirected, new URL(answer.url).origin]).toEqual([206, true, server.endpoint]);
    const sha256 = createHash('sha256')
      .update(Buffer.from(await answer.arrayBuffer()))
      .digest('hex');
    expect(sha256).toBe(view.sha256);
    expect((await fetch(url, { redirect: 'manual' })).status).toBe(410);
  }
});
