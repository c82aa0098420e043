import { redisPrefix, ticketId } from '@xvault/shared/lanes.ts';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, queueProbe, type Seed, seedTenant, snapshotResult } from '../testing/run-fixtures.ts';
import { lease, outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { reconcileLeases, reconcileRest } from './reconciler.ts';
import { claimRound } from './rounds.ts';

describe.each(databaseKinds)('putting right what went wrong, on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    const config = { retryBaseMs: 0, tenantMaxRuns: 100, dispatchedTimeoutMs: 0, leaseGraceMs: 1000 };
    hub = await startTestHub({ database, config });
    worker = await scriptedWorker(hub, { slots: 50 });
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });
  const keys = (runId: string, attempt = 1) => `${redisPrefix}:pool-default:${ticketId(runId, attempt)}`;
  const setWorker = (id: string, lastSeenAt: Date) =>
    hub.db.updateTable('workers').set({ last_seen_at: lastSeenAt }).where('id', '=', id).execute();

  it('gives a run whose lease is over to another attempt, and fails it as WORKER_LOST after the last', async () => {
    const run = await queueBackup(hub.db, seed, { maxAttempts: 2 });
    const first = await steps.begin(run, worker);
    await reconcileLeases(steps.reconciling());
    expect((await steps.row(run.id)).status).toBe('running');

    await steps.endLease(run.id);
    await reconcileLeases(steps.reconciling());
    const taken = await steps.row(run.id);
    expect(taken).toMatchObject({ status: 'queued', worker_id: null, pending_snapshot_id: null });
    expect(taken.epoch).toBeGreaterThan(first.epoch);
    expect((await worker.heartbeat([lease(first)])).body.runs).toMatchObject([{ action: 'superseded' }]);
    const late = outcomes.completed({
      kind: 'backup',
      snapshot: snapshotResult(first.snapshot_id ?? '', worker.id, seed),
    });
    expect((await worker.finish(first, late)).status).toBe(409);

    const second = await steps.begin(run, worker);
    expect(second.attempt).toBe(2);
    await steps.endLease(run.id);
    await reconcileLeases(steps.reconciling());
    expect(await steps.row(run.id)).toMatchObject({ status: 'failed', error_code: 'WORKER_LOST' });
    const attempts = await hub.db.selectFrom('run_attempts').selectAll().where('run_id', '=', run.id).execute();
    expect(attempts).toMatchObject([{ error_code: 'WORKER_LOST' }, { error_code: 'WORKER_LOST' }]);
  });

  it('leaves a run alone whose lease was proved again in time', async () => {
    const run = await queueBackup(hub.db, seed);
    const started = await steps.begin(run, worker);
    await steps.endLease(run.id);
    expect((await worker.heartbeat([lease(started)])).body.runs).toMatchObject([{ action: 'continue' }]);
    await reconcileLeases(steps.reconciling());
    expect((await steps.row(run.id)).status).toBe('running');
    await steps.endLease(run.id);
    const snapshot = snapshotResult(started.snapshot_id ?? '', worker.id, seed);
    const finished = await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }));
    expect(finished.body.run_status).toBe('success');
  });

  it('adds the tickets of dispatched runs again when Redis came back empty', async () => {
    await reconcileLeases(steps.reconciling());
    const dispatched = await queueBackup(hub.db, seed);
    const running = await queueBackup(hub.db, seed);
    await steps.begin(running, worker);
    expect(await hub.deps.redis.exists(keys(dispatched.id))).toBe(1);
    await hub.deps.redis.flushdb();
    await reconcileLeases(steps.reconciling());
    await steps.dispatch();
    expect(await hub.deps.redis.exists(keys(dispatched.id))).toBe(1);
    expect(await hub.deps.redis.exists(keys(running.id))).toBe(0);
    expect((await worker.start(dispatched.id, 1)).status).toBe(200);
    expect((await steps.row(running.id)).status).toBe('running');
    await reconcileLeases(steps.reconciling());
    expect(await hub.db.selectFrom('outbox').select('id').execute()).toEqual([]);
  });

  it('adds a single lost ticket again, and lets one that waits wait', async () => {
    const lost = await queueBackup(hub.db, seed);
    const waits = await queueBackup(hub.db, seed);
    await steps.dispatch();
    const queueKeys = [`${redisPrefix}:pool-default:wait`, keys(lost.id)] as const;
    await hub.deps.redis.lrem(queueKeys[0], 0, ticketId(lost.id, 1));
    await hub.deps.redis.del(queueKeys[1]);
    await reconcileRest(steps.reconciling());
    const outbox = await hub.db.selectFrom('outbox').select(['run_id', 'attempt']).execute();
    expect(outbox).toEqual([{ run_id: lost.id, attempt: 1 }]);
    await steps.dispatch();
    expect(await hub.deps.redis.exists(keys(lost.id))).toBe(1);
    for (const run of [lost, waits])
      expect(await steps.row(run.id)).toMatchObject({ status: 'dispatched', attempt: 1 });
    for (const run of [lost, waits]) expect((await worker.start(run.id, 1)).status).toBe(200);
  });

  it('makes another attempt when a ticket was used up without a start', async () => {
    const fresh = await scriptedWorker(hub, { pool: 'fresh' });
    const run = await queueBackup(hub.db, seed, { pool: 'fresh', maxAttempts: 2 });
    await steps.dispatch();
    expect(await fresh.takeTicket()).toMatchObject({ runId: run.id, attempt: 1 });
    await reconcileRest(steps.reconciling());
    expect((await steps.row(run.id)).status).toBe('queued');
    await steps.dispatch();
    expect(await fresh.takeTicket()).toMatchObject({ runId: run.id, attempt: 2 });
    await reconcileRest(steps.reconciling());
    expect(await steps.row(run.id)).toMatchObject({ status: 'failed', error_code: 'WORKER_LOST' });
    await fresh.close();
  });

  it('says that a run waits for a worker that is offline, and fails it when that lasts too long', async () => {
    const away = await scriptedWorker(hub);
    await setWorker(away.id, new Date(Date.now() - 60_000));
    const run = await queueBackup(hub.db, seed, { requiredWorkerId: away.id });
    await reconcileRest(steps.reconciling());
    expect(await steps.dispatch()).toBe(0);
    expect((await steps.row(run.id)).status).toBe('queued');
    expect(await steps.waitReason(run.id)).toBe(`worker ${away.id} is offline`);
    const states = await hub.db
      .selectFrom('workers')
      .select('status')
      .where('id', 'in', [away.id, worker.id])
      .execute();
    expect(states.map(({ status }) => status).sort()).toEqual(['active', 'offline']);

    await setWorker(away.id, new Date(Date.now() - 3_600_000));
    await reconcileRest(steps.reconciling());
    expect((await steps.row(run.id)).status).toBe('queued');
    const longAgo = new Date(Date.now() - 3_600_000);
    await hub.db.updateTable('runs').set({ not_before: longAgo }).where('id', '=', run.id).execute();
    await sql`update runs set queued_at = ${longAgo} where id = ${run.id}`.execute(hub.db);
    await reconcileRest(steps.reconciling());
    expect(await steps.row(run.id)).toMatchObject({ status: 'failed', error_code: 'WORKER_OFFLINE' });
  });

  it('takes a silent worker for active again when it speaks', async () => {
    const quiet = await scriptedWorker(hub);
    await setWorker(quiet.id, new Date(0));
    await reconcileRest(steps.reconciling());
    await quiet.heartbeat([]);
    const row = await hub.db.selectFrom('workers').selectAll().where('id', '=', quiet.id).executeTakeFirstOrThrow();
    expect(row).toMatchObject({ status: 'active', load_1m: 0.5, disk_free_bytes: 5e11 });
  });

  it('clears the findings of old probes', async () => {
    const started = await steps.begin(await queueProbe(hub.db, seed), worker);
    const seen = { type: 'source' as const, host_key: null, server: null, entry_names: ['secret-name'], latency_ms: 1 };
    await worker.finish(started, outcomes.completed({ kind: 'probe', probe: seen }));
    await reconcileRest(steps.reconciling());
    expect((await steps.row(started.run_id)).result).not.toBeNull();
    await hub.db
      .updateTable('runs')
      .set({ finished_at: new Date(0) })
      .where('id', '=', started.run_id)
      .execute();
    await reconcileRest(steps.reconciling());
    expect((await steps.row(started.run_id)).result).toBeNull();
  });

  it('deletes events that are old, and keeps the runs and what happened since', async () => {
    const run = await queueBackup(hub.db, seed);
    const days = (count: number) => new Date(Date.now() - count * 86_400_000);
    const event = { run_id: run.id, type: 'warning', level: 'warn', code: 'X', message_id: 'item_vanished' };
    const rows = Array.from({ length: 12_000 }, (_, index) => ({
      ...event,
      id: index + 2,
      ts: days(index < 11_000 ? 61 : 59).toISOString(),
      params: '{}',
    }));
    for (let from = 0; from < rows.length; from += 2000) {
      await hub.db
        .insertInto('run_events')
        .values(rows.slice(from, from + 2000))
        .execute();
    }
    await reconcileRest(steps.reconciling());
    const left = hub.db.selectFrom('run_events').where('run_id', '=', run.id);
    expect(await left.select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirst()).toEqual({ count: 1001 });
    expect((await steps.row(run.id)).id).toBe(run.id);
  });

  it('is done by one Hub in each interval', async () => {
    const asked = await Promise.all([1, 2, 3].map(() => claimRound(hub.db, 'test', 60_000)));
    expect(asked.filter(Boolean)).toHaveLength(1);
    expect(await claimRound(hub.db, 'test', 60_000)).toBe(false);
    expect(await claimRound(hub.db, 'test', 0)).toBe(true);
  });
});
