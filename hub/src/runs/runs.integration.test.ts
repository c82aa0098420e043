import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, itemsOf, operatorClient, tenantClient } from '../testing/api-client.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, queueProbe, type Seed, seedTenant, snapshotResult } from '../testing/run-fixtures.ts';
import { itemEvent, lease, outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

describe('the API of runs', () => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let seed: Seed;
  let client: ApiClient;
  let stranger: ApiClient;
  let operator: ApiClient;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ config: { tenantMaxRuns: 100 } });
    worker = await scriptedWorker(hub, { slots: 50 });
    operator = await operatorClient(hub);
    const acme = await tenantClient(hub, operator, 'acme');
    client = acme.client;
    stranger = (await tenantClient(hub, operator, 'other')).client;
    seed = await seedTenant(hub.db, { of: acme.tenantId });
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });

  it('lists newest first, by pages and by filters, and only the tenant’s own', async () => {
    const runs = [];
    for (let count = 0; count < 3; count += 1) runs.push(await queueBackup(hub.db, seed));
    const probe = await queueProbe(hub.db, seed);
    const first = await client('GET', '/api/v1/runs?limit=3&kind=backup');
    expect(itemsOf(first).map((run) => run.id)).toEqual(runs.map((run) => run.id).reverse());
    const page = await client('GET', '/api/v1/runs?limit=2');
    expect(itemsOf(page).map((run) => run.id)).toEqual([probe.id, runs[2]?.id]);
    const next = await client('GET', `/api/v1/runs?limit=2&cursor=${page.body.next_cursor}`);
    expect(itemsOf(next).map((run) => run.id)).toEqual([runs[1]?.id, runs[0]?.id]);
    expect(next.body.next_cursor).toBeNull();
    expect(itemsOf(await client('GET', `/api/v1/runs?job_id=${seed.jobId}`))).toHaveLength(3);
    expect(itemsOf(await client('GET', '/api/v1/runs?status=running'))).toEqual([]);
    expect(itemsOf(await stranger('GET', '/api/v1/runs'))).toEqual([]);
    expect((await client('GET', '/api/v1/runs?state=queued')).status).toBe(400);
  });

  it('shows a dispatched run as starting, with its attempts', async () => {
    const run = await queueBackup(hub.db, seed);
    await steps.dispatch();
    const { body } = await client('GET', `/api/v1/runs/${run.id}`);
    expect(body).toMatchObject({ status: 'starting', attempt: 1, attempts: [{ attempt: 1, outcome: null }] });
    const starting = itemsOf(await client('GET', '/api/v1/runs?status=starting'));
    expect(starting.map((item) => item.id)).toContain(run.id);
  });

  it('tells customers what went wrong in a sentence, and operators the details', async () => {
    const run = await queueBackup(hub.db, seed);
    const started = await steps.begin(run, worker);
    await worker.finish(started, { ...outcomes.failed('SOURCE_AUTH_FAILED'), log_excerpt: 'last lines' });
    const seen = await client('GET', `/api/v1/runs/${run.id}`);
    expect(seen.body).toMatchObject({
      status: 'failed',
      error_code: 'SOURCE_AUTH_FAILED',
      error_summary: 'The server refused the user name, password or key.',
    });
    expect(seen.text).not.toContain('for operators');
    expect(seen.text).not.toContain('last lines');
    const full = await operator('GET', `/api/v1/runs/${run.id}`, undefined, { 'x-xvault-tenant': seed.tenantId });
    expect(full.body).toMatchObject({ error_detail: 'for operators', log_excerpt: 'last lines' });
  });

  it('cancels: 202, again 202, 409 once it ended otherwise', async () => {
    const run = await queueBackup(hub.db, seed);
    expect(await client('POST', `/api/v1/runs/${run.id}/cancel`)).toMatchObject({
      status: 202,
      body: { status: 'cancelled' },
    });
    expect((await client('POST', `/api/v1/runs/${run.id}/cancel`)).status).toBe(202);
    const done = await steps.begin(await queueBackup(hub.db, seed), worker);
    const snapshot = snapshotResult(done.snapshot_id ?? '', worker.id, seed);
    await worker.finish(done, outcomes.completed({ kind: 'backup', snapshot }));
    const late = await client('POST', `/api/v1/runs/${done.run_id}/cancel`);
    expect(late).toMatchObject({ status: 409, body: { code: 'RUN_NOT_CANCELLABLE' } });
  });

  it('forces the end of a run for operators of the platform only, whatever its worker does', async () => {
    const started = await steps.begin(await queueBackup(hub.db, seed), worker);
    const url = `/api/v1/runs/${started.run_id}/cancel`;
    expect((await client('POST', url, { force: true })).status).toBe(403);
    const asTenant = { 'x-xvault-tenant': seed.tenantId };
    expect((await client('POST', url, { force: false })).body).toMatchObject({ status: 'running' });
    const forced = await operator('POST', url, { force: true }, asTenant);
    expect(forced).toMatchObject({ status: 202, body: { status: 'cancelled', cancel_requested: true } });
    expect((await operator('POST', url, { force: true }, asTenant)).status).toBe(202);
    expect((await worker.heartbeat([lease(started)])).body.runs).toMatchObject([{ action: 'superseded' }]);
    const snapshot = snapshotResult(started.snapshot_id ?? '', worker.id, seed);
    expect((await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }))).status).toBe(409);
    const { body } = await client('GET', `/api/v1/runs/${started.run_id}`);
    expect(body).toMatchObject({ status: 'cancelled', snapshot_id: null });
    expect(body.attempts).toMatchObject([{ outcome: 'cancelled', worker_id: worker.id, ended_at: expect.any(String) }]);
    const ended = await queueBackup(hub.db, seed);
    await worker.finish(await steps.begin(ended, worker), outcomes.failed('SOURCE_PERMISSION'));
    expect((await operator('POST', `/api/v1/runs/${ended.id}/cancel`, { force: true }, asTenant)).status).toBe(409);
    const audit = hub.db.selectFrom('audit_log').select('object_id').where('action', '=', 'run.force_cancel');
    expect(await audit.execute()).toEqual([{ object_id: started.run_id }]);
  });

  it('says why a run waits, alone and in the list, and how its attempts went', async () => {
    const run = await queueBackup(hub.db, seed, { pool: 'nobody' });
    const reason = 'no worker of pool nobody is online';
    expect((await client('GET', `/api/v1/runs/${run.id}`)).body).toMatchObject({ wait_reason: reason });
    const listed = itemsOf(await client('GET', '/api/v1/runs?status=queued')).find(({ id }) => id === run.id);
    expect(listed).toMatchObject({ wait_reason: reason });
    const retried = await queueBackup(hub.db, seed);
    await worker.finish(await steps.begin(retried, worker), outcomes.failed('SOURCE_TIMEOUT'));
    await steps.endBackoff(retried.id);
    await steps.begin(retried, worker);
    const { body } = await client('GET', `/api/v1/runs/${retried.id}`);
    expect(body).toMatchObject({ status: 'running', attempt: 2, wait_reason: null });
    expect(body.attempts).toMatchObject([
      { attempt: 1, outcome: 'failed', error_code: 'SOURCE_TIMEOUT', worker_id: worker.id },
      { attempt: 2, outcome: null, ended_at: null, worker_id: worker.id },
    ]);
  });

  it('gives events by pages, with microseconds and sentences', async () => {
    const started = await steps.begin(await queueBackup(hub.db, seed), worker);
    const events = [{ ...itemEvent(1, 'a "b"'), ts: '2031-02-03T04:05:06.123456Z' }, itemEvent(2)];
    await worker.finish(started, outcomes.failed('SOURCE_PERMISSION'), events);
    const url = `/api/v1/runs/${started.run_id}/events`;
    const first = await client('GET', `${url}?limit=3`);
    expect(first.body.last_id).toBe(3);
    expect(itemsOf(first)).toMatchObject([
      { id: 1, message_id: 'run_queued' },
      { id: 2, message: 'Started (attempt 1).' },
      { id: 3, ts: '2031-02-03T04:05:06.123456Z', message: 'Not backed up, it disappeared during the backup: a "b"' },
    ]);
    const rest = await client('GET', `${url}?since_id=3`);
    expect(itemsOf(rest).map((event) => event.message_id)).toEqual(['item_vanished', 'run_failed']);
    expect((await client('GET', `${url}?since_id=5`)).body).toEqual({ items: [], last_id: 5 });
    expect((await client('GET', `${url}?limit=1001`)).status).toBe(400);
  });

  it('knows no run of another tenant', async () => {
    const run = await queueBackup(hub.db, seed);
    for (const path of ['', '/events', '/stream']) {
      expect(await stranger('GET', `/api/v1/runs/${run.id}${path}`)).toMatchObject({
        status: 404,
        body: { code: 'NOT_FOUND' },
      });
    }
    expect((await stranger('POST', `/api/v1/runs/${run.id}/cancel`)).status).toBe(404);
  });
});
