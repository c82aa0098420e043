import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, type Seed, seedTenant, snapshotResult } from '../testing/run-fixtures.ts';
import { lease, outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { cancelRun } from './cancel.ts';
import { reclaimLeases } from './reclaim-leases.ts';

describe.each(databaseKinds)('cancelling on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0, tenantMaxRuns: 100 } });
    worker = await scriptedWorker(hub, { slots: 50 });
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });
  const cancel = (runId: string, tenantId = seed.tenantId) =>
    cancelRun(hub.db, { userId: null, address: null }, tenantId, runId);

  it('ends a queued run at once; again is no error', async () => {
    const run = await queueBackup(hub.db, seed);
    expect(await cancel(run.id)).toMatchObject({ status: 'cancelled' });
    expect(await cancel(run.id)).toMatchObject({ status: 'cancelled' });
    expect(await steps.dispatch()).toBe(0);
    expect(await steps.events(run.id)).toEqual(['run_queued', 'run_cancelled']);
  });

  it('ends a dispatched run at once, and its ticket is refused', async () => {
    const run = await queueBackup(hub.db, seed);
    await steps.dispatch();
    expect(await cancel(run.id)).toMatchObject({ status: 'cancelled' });
    expect((await worker.start(run.id, 1)).status).toBe(409);
  });

  it('tells the worker of a running one with the next heartbeat', async () => {
    const run = await queueBackup(hub.db, seed);
    const started = await steps.begin(run, worker);
    expect(await cancel(run.id)).toMatchObject({ status: 'running' });
    expect(await cancel(run.id)).toMatchObject({ status: 'running' });
    expect((await worker.heartbeat([lease(started)])).body.runs).toMatchObject([{ action: 'cancel' }]);
    expect((await worker.finish(started, outcomes.cancelled)).body).toEqual({ run_status: 'cancelled' });
    const told = ['run_queued', 'run_started', 'run_cancel_requested', 'run_cancelled'];
    expect(await steps.events(run.id)).toEqual(told);
  });

  it('makes of a failure, a hand-back or a lost worker a cancelled run', async () => {
    for (const outcome of [outcomes.failed('SOURCE_TIMEOUT'), outcomes.handedBack]) {
      const run = await queueBackup(hub.db, seed);
      const started = await steps.begin(run, worker);
      await cancel(run.id);
      expect((await worker.finish(started, outcome)).body).toEqual({ run_status: 'cancelled' });
    }
    const run = await queueBackup(hub.db, seed);
    await steps.begin(run, worker);
    await cancel(run.id);
    await steps.endLease(run.id);
    await reclaimLeases(steps.reconciling());
    expect(await steps.row(run.id)).toMatchObject({ status: 'cancelled' });
  });

  it('keeps what was committed before the worker heard of it', async () => {
    const run = await queueBackup(hub.db, seed);
    const started = await steps.begin(run, worker);
    await cancel(run.id);
    const snapshot = snapshotResult(started.snapshot_id ?? '', worker.id, seed);
    const finished = await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }));
    expect(finished.body).toEqual({ run_status: 'success' });
    await expect(cancel(run.id)).rejects.toMatchObject({ code: 'RUN_NOT_CANCELLABLE' });
  });

  it('knows no run of another tenant', async () => {
    const run = await queueBackup(hub.db, seed);
    const other = await seedTenant(hub.db);
    await expect(cancel(run.id, other.tenantId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await steps.row(run.id)).status).toBe('queued');
  });
});
