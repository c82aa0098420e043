import { archiveOptions } from '@xvault/shared/archive-options.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, itemsOf, operatorClient, tenantClient } from '../testing/api-client.ts';
import { backUp, made, makeJob } from '../testing/fixtures.ts';
import { type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let worker: ScriptedWorker;
let client: ApiClient;
let operator: ApiClient;

beforeAll(async () => {
  hub = await startTestHub();
  worker = await scriptedWorker(hub);
  operator = await operatorClient(hub);
  ({ client } = await tenantClient(hub, operator, 'acme', ['/srv']));
});
afterAll(async () => {
  await worker.close();
  await hub.close();
});

const run = (jobId: string, headers?: Record<string, string>) =>
  client('POST', `/api/v1/jobs/${jobId}/runs`, undefined, headers);

describe('a job', () => {
  it('has defaults, and is changed, paused and deleted', async () => {
    const { jobId } = await makeJob(client);
    const url = `/api/v1/jobs/${jobId}`;
    expect((await client('GET', url)).body).toMatchObject({
      engine: 'archive',
      options: { compression_level: 3, one_file_system: false },
      status: 'active',
      validation_mode: 'none',
      priority: 0,
      max_attempts: 3,
    });
    const changes = { options: { compression_level: 9 }, validation_mode: 'post_run', priority: 5, status: 'paused' };
    expect(await client('PATCH', url, changes)).toMatchObject({
      status: 200,
      body: { ...changes, options: { compression_level: 9, one_file_system: false } },
    });
    expect(await client('PATCH', url, { status: 'deleted' })).toMatchObject({ status: 400 });
    expect(await client('DELETE', url)).toMatchObject({ status: 204 });
    expect(await client('GET', url)).toMatchObject({ status: 404 });
    expect(await run(jobId)).toMatchObject({ status: 404 });
  });

  it('keeps its source and destination from being deleted, until it is deleted and its runs have ended', async () => {
    const job = await makeJob(client);
    const source = `/api/v1/sources/${job.sourceId}`;
    const destination = `/api/v1/destinations/${job.destinationId}`;
    const conflict = { status: 409, body: { code: 'CONFLICT' } };
    expect(await client('DELETE', source)).toMatchObject(conflict);
    expect(await client('DELETE', destination)).toMatchObject(conflict);
    const runId = await made(run(job.jobId));
    await client('DELETE', `/api/v1/jobs/${job.jobId}`);
    expect(await client('DELETE', source)).toMatchObject(conflict);
    await client('POST', `/api/v1/runs/${runId}/cancel`);
    expect((await client('DELETE', source)).status).toBe(204);
    expect((await client('DELETE', destination)).status).toBe(204);
  });
});

describe('running a job', () => {
  it('freezes what the job, source and tenant say into the spec, without the secret', async () => {
    const sourceId = await made(
      client('POST', '/api/v1/sources', {
        type: 'sftp',
        name: 'sftp',
        config: { host: 'Files.Example.com', port: 2200, user: 'u', path: '/data' },
        secret: { password: 'a-very-secret-password' },
      }),
    );
    const destinationId = await made(client('POST', '/api/v1/destinations', { type: 'local_fs', name: 'disk' }));
    const job = { name: 'j', source_id: sourceId, destination_id: destinationId, priority: 7, max_attempts: 2 };
    const jobId = await made(client('POST', '/api/v1/jobs', job));
    const answer = await run(jobId);
    expect(answer).toMatchObject({
      status: 202,
      headers: { location: `/api/v1/runs/${answer.body.id}` },
      body: {
        kind: 'backup',
        status: 'queued',
        job_id: jobId,
        source_id: sourceId,
        trigger: 'manual',
        max_attempts: 2,
      },
    });
    await client('PATCH', `/api/v1/sources/${sourceId}`, {
      config: { host: 'new.example.com', user: 'u', path: '/x' },
    });
    const row = await hub.db
      .selectFrom('runs')
      .selectAll()
      .where('id', '=', String(answer.body.id))
      .executeTakeFirstOrThrow();
    const tenant = await hub.db
      .selectFrom('tenants')
      .selectAll()
      .where('id', '=', row.tenant_id)
      .executeTakeFirstOrThrow();
    expect(row.source_host).toBe('files.example.com:2200');
    expect(row.priority).toBe(7);
    expect(row.spec).toEqual({
      kind: 'backup',
      job_id: jobId,
      source_id: sourceId,
      source: {
        type: 'sftp',
        config: { host: 'Files.Example.com', port: 2200, user: 'u', path: '/data', jump: null },
        host_key: null,
      },
      destination_id: destinationId,
      destination: { type: 'local_fs', config: {} },
      engine: 'archive',
      options: archiveOptions.parse({}),
      sync: null,
      recipients: [tenant.recipient],
    });
  });

  it('is refused while it is paused, and while a backup of it has not ended', async () => {
    const job = await makeJob(client);
    const url = `/api/v1/jobs/${job.jobId}`;
    await client('PATCH', url, { status: 'paused' });
    expect(await run(job.jobId)).toMatchObject({ status: 409, body: { code: 'JOB_NOT_ACTIVE' } });
    await client('PATCH', url, { status: 'active' });
    const runId = await made(run(job.jobId));
    expect(await run(job.jobId)).toMatchObject({ status: 409, body: { code: 'RUN_OVERLAP' } });
    await client('POST', `/api/v1/runs/${runId}/cancel`);
    await backUp(hub, client, worker, job);
    expect((await run(job.jobId)).status).toBe(202);
  });

  it('is refused once the operator has taken back the path of its source', async () => {
    const own = await tenantClient(hub, operator, 'shrinking', ['/srv']);
    const { jobId, sourceId } = await makeJob(own.client);
    await operator('PATCH', `/api/v1/tenants/${own.tenantId}`, { local_paths: ['/srv/other'] });
    const refused = { status: 403, body: { code: 'PATH_NOT_ALLOWED' } };
    expect(await own.client('POST', `/api/v1/jobs/${jobId}/runs`)).toMatchObject(refused);
    expect(await own.client('POST', `/api/v1/sources/${sourceId}/probe`)).toMatchObject(refused);
  });

  it('makes one run of many requests at once', async () => {
    const { jobId } = await makeJob(client);
    const answers = await Promise.all(Array.from({ length: 8 }, () => run(jobId)));
    const statuses = answers.map((answer) => answer.status).sort();
    expect(statuses).toEqual([202, ...Array.from({ length: 7 }, () => 409)]);
  });

  it('with an idempotency key makes one run, however often and whenever it is asked', async () => {
    const job = await makeJob(client);
    const other = await makeJob(client);
    const key = { 'idempotency-key': 'monday' };
    const answers = await Promise.all(Array.from({ length: 8 }, () => run(job.jobId, key)));
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 202));
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    const runId = String(answers[0]?.body.id);

    await client('POST', `/api/v1/runs/${runId}/cancel`);
    expect((await run(job.jobId, key)).body).toMatchObject({ id: runId, status: 'cancelled' });
    expect((await run(other.jobId, key)).body.id).not.toBe(runId);
    expect((await run(job.jobId, { 'idempotency-key': 'tuesday' })).body.id).not.toBe(runId);
    expect(await run(job.jobId, { 'idempotency-key': 'x'.repeat(256) })).toMatchObject({ status: 400 });
    const ofJob = itemsOf(await client('GET', `/api/v1/runs?job_id=${job.jobId}`));
    expect(ofJob).toHaveLength(2);

    await hub.db
      .updateTable('idempotency_keys')
      .set({ created_at: new Date(0) })
      .execute();
    await client('POST', `/api/v1/runs/${ofJob[0]?.id}/cancel`);
    expect((await run(job.jobId, key)).body.id).not.toBe(runId);
    expect(await hub.db.selectFrom('idempotency_keys').select('key').execute()).toEqual([{ key: 'monday' }]);
  });
});
