import { unseal } from '@xvault/shared/sealing.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ApiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { backUp, made, makeJob } from '../testing/fixtures.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let client: ApiClient;
let stranger: ApiClient;

const config = { endpoint: 'https://s3.example.com', bucket: 'backups', prefix: 'xvault' };
const secret = { access_key_id: 'AKIAEXAMPLE', secret_access_key: 'canary-secret-5d1c' };

beforeAll(async () => {
  hub = await startTestHub();
  const operator = await operatorClient(hub);
  ({ client } = await tenantClient(hub, operator, 'acme', ['/srv']));
  ({ client: stranger } = await tenantClient(hub, operator, 'other'));
});
afterAll(() => hub.close());

const create = (more: object = {}) =>
  client('POST', '/api/v1/destinations', { type: 's3', name: 'bucket', config, secret, ...more });

async function sealedOf(id: string): Promise<string | null> {
  const query = hub.db.selectFrom('destinations').select('secret_sealed').where('id', '=', id);
  return (await query.executeTakeFirstOrThrow()).secret_sealed;
}

it('seals the secret of a bucket on arrival, and when it is changed', async () => {
  const created = await create();
  expect(created).toMatchObject({ status: 201, body: { type: 's3', has_secret: true, config } });
  const id = String(created.body.id);
  const patched = await client('PATCH', `/api/v1/destinations/${id}`, {
    name: 'renamed',
    secret: { ...secret, secret_access_key: 'canary-changed-9b2e' },
    config: { ...config, storage_class: 'STANDARD_IA' },
  });
  expect(patched).toMatchObject({ status: 200, body: { name: 'renamed', config: { storage_class: 'STANDARD_IA' } } });
  expect([created.text, patched.text, hub.logs()].join()).not.toContain('canary');
  const opened = await unseal((await sealedOf(id)) ?? '', [hub.credentials.identity]);
  expect(JSON.parse(opened)).toMatchObject({ secret_access_key: 'canary-changed-9b2e' });
});

it('takes only what a destination of that type has', async () => {
  const statuses = await Promise.all([
    create({ secret: undefined }),
    create({ config: { ...config, prefix: '/leading' } }),
    create({ config: { ...config, endpoint: 'https://user:pw@s3.example.com' } }),
    create({ config: { ...config, unknown: 1 } }),
    client('POST', '/api/v1/destinations', { type: 'platform_s3', name: 'ours', secret }),
  ]);
  expect(statuses.map(({ status }) => status)).toEqual([400, 400, 400, 400, 400]);
  const id = await made(client('POST', '/api/v1/destinations', { type: 'platform_s3', name: 'ours' }));
  expect((await client('PATCH', `/api/v1/destinations/${id}`, { secret })).status).toBe(400);
  expect((await client('PATCH', `/api/v1/destinations/${id}`, { config })).status).toBe(400);
});

it('asks a worker to test it, with the secret for that worker alone', async () => {
  const id = await made(create());
  const worker = await scriptedWorker(hub);
  const runId = await made(client('POST', `/api/v1/destinations/${id}/probe`));
  const started = await stepsOf(hub).begin({ id: runId }, worker);
  expect(started.spec).toMatchObject({ kind: 'probe', probe: { type: 'destination', destination_id: id } });
  expect(started.destination_secret_sealed).toBe(await sealedOf(id));
});

it('belongs to one tenant', async () => {
  const id = await made(create());
  const path = `/api/v1/destinations/${id}`;
  const answers = await Promise.all([
    stranger('GET', path),
    stranger('PATCH', path, { name: 'mine' }),
    stranger('POST', `${path}/probe`),
    stranger('DELETE', path),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
});

it('cannot be deleted while a job writes to it or a snapshot is in it', async () => {
  const job = await makeJob(client);
  const path = `/api/v1/destinations/${job.destinationId}`;
  const worker = await scriptedWorker(hub);
  const { snapshotId } = await backUp(hub, client, worker, job);
  const deletion = async () => (await client('DELETE', path)).status;
  expect(await deletion()).toBe(409);
  await client('DELETE', `/api/v1/jobs/${job.jobId}`);
  expect(await deletion()).toBe(409);
  await hub.db.updateTable('snapshots').set({ status: 'deleted' }).where('id', '=', snapshotId).execute();
  expect(await deletion()).toBe(204);
});

it('keeps its bucket once there are snapshots in it', async () => {
  const job = await makeJob(client);
  const id = await made(create());
  const change = (more: object) => client('PATCH', `/api/v1/destinations/${id}`, { config: { ...config, ...more } });
  expect((await change({ bucket: 'another' })).status).toBe(200);
  expect((await change({})).status).toBe(200);
  const { snapshotId } = await backUp(hub, client, await scriptedWorker(hub), job);
  await hub.db.updateTable('snapshots').set({ destination_id: id }).where('id', '=', snapshotId).execute();
  expect((await change({ bucket: 'another' })).status).toBe(409);
  expect((await change({ endpoint: 'https://moved.example.com', prefix: 'new' })).status).toBe(200);
});
