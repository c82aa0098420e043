import { newId } from '@xvault/shared/ids.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { reconcileRest } from '../lifecycle/reconciler.ts';
import { type ApiClient, itemsOf, operatorClient, tenantClient } from '../testing/api-client.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, queueProbe, type Seed, seedTenant, snapshotResult } from '../testing/run-fixtures.ts';
import { lease, outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

describe.each(databaseKinds)('workers on %s', (database) => {
  let hub: TestHub;
  let seed: Seed;
  let operator: ApiClient;
  let steps: ReturnType<typeof stepsOf>;
  const workers: ScriptedWorker[] = [];

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0, tenantMaxRuns: 100 } });
    seed = await seedTenant(hub.db);
    operator = await operatorClient(hub);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.close()));
    await hub?.close();
  });
  afterEach(async () => {
    await hub.deps.redis.flushdb();
    for (const table of ['snapshots', 'outbox', 'run_attempts', 'run_events', 'runs'] as const) {
      await hub.db.deleteFrom(table).execute();
    }
  });
  /** Each in a pool of its own, so that no other takes its tickets. */
  async function newWorker(pool: string = newId(), slots = 2): Promise<ScriptedWorker> {
    const worker = await scriptedWorker(hub, { pool, slots });
    workers.push(worker);
    return worker;
  }
  const attemptsOf = (runId: string) =>
    hub.db.selectFrom('run_attempts').selectAll().where('run_id', '=', runId).orderBy('epoch').execute();
  const stateOf = async (id: string) => (await operator('GET', `/api/v1/workers/${id}`)).body.status;
  const ask = (worker: ScriptedWorker, verb: 'drain' | 'resume') =>
    operator('POST', `/api/v1/workers/${worker.id}/${verb}`);

  describe('registering again', () => {
    it('as another process gives its runs to further attempts at once', async () => {
      const pool = newId();
      const worker = await newWorker(pool);
      const [lost, last] = [
        await queueBackup(hub.db, seed, { pool }),
        await queueBackup(hub.db, seed, { pool, maxAttempts: 1 }),
      ];
      const started = await steps.begin(lost, worker);
      await worker.start(last.id, 1);
      const [boot_id, waiting] = [newId(), await queueBackup(hub.db, seed, { pool })];
      await steps.dispatch();
      expect((await worker.register({ boot_id })).status).toBe(200);
      expect(await steps.row(lost.id)).toMatchObject({ status: 'queued', worker_id: null });
      expect(await steps.row(last.id)).toMatchObject({ status: 'failed', error_code: 'WORKER_LOST' });
      expect((await steps.row(waiting.id)).status).toBe('dispatched');
      expect(await attemptsOf(lost.id)).toMatchObject([
        { outcome: 'failed', error_code: 'WORKER_LOST', ended_at: expect.any(Date) },
      ]);
      expect((await worker.heartbeat([lease(started)])).body.runs).toMatchObject([{ action: 'superseded' }]);
      const again = await steps.begin(lost, worker);
      expect(again.attempt).toBe(2);
      await worker.register({ boot_id });
      expect((await steps.row(lost.id)).status).toBe('running');
    });

    it('as the same process, because an answer was lost, changes nothing', async () => {
      const pool = newId();
      const worker = await newWorker(pool);
      const run = await queueBackup(hub.db, seed, { pool });
      const started = await steps.begin(run, worker);
      await worker.register();
      expect((await worker.heartbeat([lease(started)])).body.runs).toMatchObject([{ action: 'continue' }]);
    });
  });

  describe('draining', () => {
    it('is for operators of the platform', async () => {
      const worker = await newWorker();
      const { client } = await tenantClient(hub, operator, `tenant-${newId()}`);
      for (const verb of ['drain', 'resume']) {
        expect((await client('POST', `/api/v1/workers/${worker.id}/${verb}`)).status).toBe(403);
        expect((await operator('POST', `/api/v1/workers/nobody/${verb}`)).status).toBe(404);
      }
    });

    it('gives a worker nothing more, lets it finish, and ends with resume', async () => {
      const pool = newId();
      const [worker, other] = [await newWorker(pool), await newWorker(pool)];
      const running = await steps.begin(await queueBackup(hub.db, seed, { pool }), worker);
      const bound = await queueBackup(hub.db, seed, { pool, requiredWorkerId: worker.id });
      await steps.dispatch();
      expect(await steps.row(bound.id)).toMatchObject({ status: 'dispatched', attempt: 1 });

      expect(await ask(worker, 'drain')).toMatchObject({ status: 200, body: { status: 'draining' } });
      expect(await steps.row(bound.id)).toMatchObject({ status: 'queued', handed_back: 1 });
      const heard = await worker.heartbeat([lease(running)]);
      expect(heard.body).toMatchObject({ drain: true, runs: [{ action: 'continue' }] });
      const free = await queueBackup(hub.db, seed, { pool });
      await steps.dispatch();
      expect(await steps.waitReason(bound.id)).toBe(`worker ${worker.id} is being drained`);
      // The draining one may still take from the pool's lane, so the other is named.
      expect(await steps.row(free.id)).toMatchObject({ status: 'dispatched', worker_id: other.id });
      expect((await worker.start(free.id, 1)).status).toBe(409);
      expect((await other.start(free.id, 1)).status).toBe(200);
      await worker.register();
      expect(await stateOf(worker.id)).toBe('draining');
      const snapshot = snapshotResult(running.snapshot_id ?? '', worker.id, seed);
      await worker.finish(running, outcomes.completed({ kind: 'backup', snapshot }));

      expect(await ask(worker, 'resume')).toMatchObject({ status: 200, body: { status: 'active' } });
      expect((await worker.heartbeat([])).body.drain).toBe(false);
      await steps.dispatch();
      expect((await worker.start(bound.id, 2)).status).toBe(200);
    });

    it('leaves the places of the other workers free', async () => {
      const pool = newId();
      const [worker, other] = [await newWorker(pool, 2), await newWorker(pool, 2)];
      const runs = [];
      for (let count = 0; count < 6; count += 1) runs.push(await queueBackup(hub.db, seed, { pool }));
      expect(await steps.dispatch()).toBe(6);
      for (const run of runs.slice(0, 3)) expect((await worker.start(run.id, 1)).status).toBe(200);
      await ask(worker, 'drain');
      await queueBackup(hub.db, seed, { pool });
      expect(await steps.dispatch()).toBe(0);
      const started = (await other.start(runs[3]?.id ?? '', 1)).body;
      await other.finish(started, outcomes.failed('SOURCE_PERMISSION'));
      expect(await steps.dispatch()).toBe(1);
    });
  });

  describe('placement', () => {
    it('names a worker that can do it when another of the pool cannot', async () => {
      const pool = newId();
      const [blind, able] = [await newWorker(pool), await newWorker(pool)];
      await blind.register({ capabilities: ['probe'] });
      const [backup, probe] = [await queueBackup(hub.db, seed, { pool }), await queueProbe(hub.db, seed, { pool })];
      await steps.dispatch();
      expect(await able.takeTicket('own')).toMatchObject({ runId: backup.id });
      expect(await blind.takeTicket()).toMatchObject({ runId: probe.id });
      expect((await blind.start(backup.id, 1)).body).toMatchObject({ code: 'ATTEMPT_SUPERSEDED' });
      expect((await able.start(backup.id, 1)).status).toBe(200);
    });

    it('takes back what reached a worker that cannot do it any more, without counting the attempt', async () => {
      const pool = newId();
      const worker = await newWorker(pool);
      const run = await queueBackup(hub.db, seed, { pool, maxAttempts: 1 });
      await steps.dispatch();
      await worker.register({ disk_free_bytes: 1 });
      const refused = await worker.start(run.id, 1);
      expect(refused).toMatchObject({ status: 409, body: { code: 'WORKER_UNSUITABLE' } });
      expect((await worker.start(run.id, 1)).body).toMatchObject({ code: 'ATTEMPT_SUPERSEDED' });
      expect(await steps.dispatch()).toBe(0);
      expect(await steps.waitReason(run.id)).toBe(`no worker of pool ${pool} can do this: 1 has too little free disk`);
      await worker.register();
      const started = await steps.begin(run, worker);
      expect(started.attempt).toBe(2);
      expect(await attemptsOf(run.id)).toMatchObject([
        { outcome: 'handed_back', error_code: 'WORKER_UNSUITABLE', ended_at: expect.any(Date) },
        { outcome: null },
      ]);
      expect((await worker.finish(started, outcomes.failed('SOURCE_TIMEOUT'))).body.run_status).toBe('failed');
    });

    it('takes back what waits for a named worker that has gone silent', async () => {
      const pool = newId();
      const [blind, able] = [await newWorker(pool), await newWorker(pool)];
      await blind.register({ capabilities: ['probe'] });
      const run = await queueBackup(hub.db, seed, { pool });
      await steps.dispatch();
      expect((await steps.row(run.id)).worker_id).toBe(able.id);
      await hub.db
        .updateTable('workers')
        .set({ last_seen_at: new Date(0) })
        .where('id', '=', able.id)
        .execute();
      await reconcileRest(steps.reconciling());
      expect(await steps.row(run.id)).toMatchObject({ status: 'queued', worker_id: null, handed_back: 1 });
      expect(await stateOf(able.id)).toBe('offline');
      expect(await steps.waitReason(run.id)).toBe(`no worker of pool ${pool} can do this: 1 cannot do this`);
    });
  });

  it('are listed with what they say of themselves', async () => {
    const worker = await newWorker();
    await worker.heartbeat([{ run_id: 'x', epoch: 1, lease_token: 'x' }]);
    const listed = itemsOf(await operator('GET', '/api/v1/workers?limit=200')).find(({ id }) => id === worker.id);
    expect(listed).toMatchObject({
      status: 'active',
      slots: 2,
      slots_in_use: 1,
      load_1m: 0.5,
      disk_free_bytes: 5e11,
      version: '0.1.0',
      capabilities: expect.arrayContaining(['backup', 'retention']),
    });
    expect(listed).not.toHaveProperty('boot_id');
  });
});
