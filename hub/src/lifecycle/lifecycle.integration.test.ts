import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunStatus } from '../db/schema.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import {
  backupSpec,
  queueBackup,
  queueProbe,
  queueRun,
  type Seed,
  seedTenant,
  snapshotResult,
} from '../testing/run-fixtures.ts';
import {
  itemEvent,
  lease,
  outcomes,
  type ScriptedWorker,
  scriptedWorker,
  someProgress,
} from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { transitionRun } from './states.ts';

describe.each(databaseKinds)('the life of a run on %s', (database) => {
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

  const complete = (snapshotId: string | null, warnings = 0) =>
    outcomes.completed({ kind: 'backup', snapshot: snapshotResult(snapshotId ?? '', worker.id, seed) }, warnings);

  it('goes from a ticket in the lane to a committed snapshot', async () => {
    const run = await queueBackup(hub.db, seed);
    expect(await steps.dispatch()).toBe(1);
    expect(await worker.takeTicket()).toEqual({ runId: run.id, attempt: 1, kind: 'backup' });
    const started = (await worker.start(run.id, 1)).body;
    expect(started).toMatchObject({
      kind: 'backup',
      epoch: 1,
      source_secret_sealed: 'sealed-secret',
      tenant_identities_sealed: [],
    });
    const beat = await worker.heartbeat([{ ...lease(started), progress: someProgress(40), events: [itemEvent(1)] }]);
    expect(beat.body).toMatchObject({
      drain: false,
      runs: [{ run_id: run.id, action: 'continue', events_stored_to: 1 }],
    });
    expect(await steps.row(run.id)).toMatchObject({ status: 'running', progress_pct: 40, bytes_transferred: 400 });

    const finished = await worker.finish(started, complete(started.snapshot_id, 1), [itemEvent(1), itemEvent(2)]);
    expect(finished).toMatchObject({ status: 200, body: { run_status: 'warning' } });
    const snapshots = await hub.db.selectFrom('snapshots').selectAll().where('run_id', '=', run.id).execute();
    expect(snapshots).toMatchObject([
      { id: started.snapshot_id, tenant_id: seed.tenantId, status: 'committed', worker_id: worker.id, warnings: 1 },
    ]);
    expect(await steps.row(run.id)).toMatchObject({
      status: 'warning',
      snapshot_id: started.snapshot_id,
      lease_token_hash: null,
      progress_pct: 100,
    });
    const told = ['run_queued', 'run_started', 'item_vanished', 'item_vanished', 'run_warned'];
    expect(await steps.events(run.id)).toEqual(told);
  });

  it('tells where symlinks of a local source may lead, and nobody else', async () => {
    const own = await seedTenant(hub.db);
    await hub.db.updateTable('tenants').set({ local_paths: '["/srv/own"]' }).where('id', '=', own.tenantId).execute();
    const local = { type: 'local' as const, config: { path: '/srv/own/www' } };
    const queue = (options: object) =>
      queueRun(hub.db, own, 'backup', { ...backupSpec(own), source: local, options }, { sourceId: own.sourceId });
    const [follows, plain] = [await queue({ follow_symlinks: true }), await queue({})];
    const remote = await queueRun(
      hub.db,
      own,
      'backup',
      { ...backupSpec(own), options: { follow_symlinks: true } },
      { sourceId: own.sourceId },
    );
    const roots = [];
    for (const run of [follows, plain, remote]) roots.push((await steps.begin(run, worker)).follow_roots);
    expect(roots).toEqual([['/srv/own'], undefined, undefined]);
  });

  it('stores the lease token only as a hash', async () => {
    const run = await queueBackup(hub.db, seed);
    const started = await steps.begin(run, worker);
    expect(JSON.stringify(await steps.row(run.id))).not.toContain(started.lease_token);
    await worker.finish(started, complete(started.snapshot_id));
  });

  it('answers a start again for the same nonce, and 409 to any other', async () => {
    const run = await queueBackup(hub.db, seed);
    await steps.dispatch();
    const nonce = 'n'.repeat(20);
    const first = await worker.start(run.id, 1, nonce);
    expect(first.status).toBe(200);
    expect(await worker.start(run.id, 1, nonce)).toEqual(first);
    const other = await worker.start(run.id, 1);
    expect(other).toMatchObject({ status: 409, body: { code: 'ATTEMPT_SUPERSEDED' } });
    const rival = await scriptedWorker(hub);
    expect((await rival.start(run.id, 1, nonce)).status).toBe(409);
    expect((await steps.events(run.id)).filter((name) => name === 'run_started')).toHaveLength(1);
    await worker.finish(first.body, complete(first.body.snapshot_id));
    expect((await worker.start(run.id, 1, nonce)).status).toBe(409);
  });

  it('refuses a start of a wrong attempt, an unknown run, or one that needs another worker', async () => {
    const run = await queueBackup(hub.db, seed);
    const bound = await queueBackup(hub.db, seed, { requiredWorkerId: worker.id });
    await steps.dispatch();
    const rival = await scriptedWorker(hub);
    const elsewhere = await scriptedWorker(hub, { pool: 'elsewhere' });
    for (const answer of [
      await worker.start(run.id, 2),
      await worker.start('no-such-run', 1),
      await rival.start(bound.id, 1),
      await elsewhere.start(run.id, 1),
    ]) {
      expect(answer).toMatchObject({ status: 409, body: { code: 'ATTEMPT_SUPERSEDED' } });
    }
    expect((await steps.row(run.id)).status).toBe('dispatched');
    expect(await worker.takeTicket('own')).toMatchObject({ runId: bound.id });
    await steps.begin(run, worker);
    await steps.begin(bound, worker);
  });

  it('gives a repeated finish the same answer and commits one snapshot', async () => {
    const run = await queueBackup(hub.db, seed);
    const started = await steps.begin(run, worker);
    const first = await worker.finish(started, complete(started.snapshot_id));
    expect(first).toEqual({ status: 200, body: { run_status: 'success' } });
    expect(await worker.finish(started, complete(started.snapshot_id))).toEqual(first);
    expect(await worker.finish(started, outcomes.failed('STORAGE_FAILED'))).toEqual(first);
    const snapshots = await hub.db.selectFrom('snapshots').select('id').where('run_id', '=', run.id).execute();
    expect(snapshots).toHaveLength(1);
    const forged = { ...started, lease_token: 'forged' };
    expect((await worker.finish(forged, complete(started.snapshot_id))).status).toBe(409);
  });

  it('tries again after a retryable failure, and answers a late repetition of it', async () => {
    const run = await queueBackup(hub.db, seed, { maxAttempts: 2 });
    const first = await steps.begin(run, worker);
    const failed = await worker.finish(first, outcomes.failed('SOURCE_TIMEOUT'));
    expect(failed.body).toEqual({ run_status: 'queued' });
    const second = await steps.begin(run, worker);
    expect(second).toMatchObject({ attempt: 2 });
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(second.snapshot_id).not.toBe(first.snapshot_id);
    expect(await worker.finish(first, outcomes.failed('SOURCE_TIMEOUT'))).toEqual(failed);
    expect((await worker.heartbeat([lease(first)])).body.runs).toMatchObject([{ action: 'superseded' }]);
    expect((await worker.finish(second, outcomes.failed('SOURCE_TIMEOUT'))).body).toEqual({ run_status: 'failed' });
    const row = await steps.row(run.id);
    expect(row).toMatchObject({ status: 'failed', error_code: 'SOURCE_TIMEOUT', error_detail: 'for operators' });
    expect(row.error_summary).toBe('The server did not answer in time.');
    const told = ['run_queued', 'run_started', 'run_retried', 'run_started', 'run_failed'];
    expect(await steps.events(run.id)).toEqual(told);
  });

  it('does not try again after a failure that would repeat itself', async () => {
    const run = await queueBackup(hub.db, seed);
    const started = await steps.begin(run, worker);
    expect((await worker.finish(started, outcomes.failed('SOURCE_AUTH_FAILED'))).body.run_status).toBe('failed');
  });

  it('does not count an attempt that was handed back', async () => {
    const run = await queueBackup(hub.db, seed, { maxAttempts: 1 });
    const first = await steps.begin(run, worker);
    expect((await worker.finish(first, outcomes.handedBack)).body.run_status).toBe('queued');
    const second = await steps.begin(run, worker);
    expect(second.attempt).toBe(2);
    expect((await worker.finish(second, complete(second.snapshot_id))).body.run_status).toBe('success');
  });

  it('takes no snapshot that is not the one it asked for', async () => {
    const run = await queueBackup(hub.db, seed, { maxAttempts: 1 });
    const started = await steps.begin(run, worker);
    expect((await worker.finish(started, complete('another-snapshot'))).body.run_status).toBe('failed');
    expect(await steps.row(run.id)).toMatchObject({ error_code: 'INTERNAL', snapshot_id: null });
    expect(await hub.db.selectFrom('snapshots').select('id').where('run_id', '=', run.id).execute()).toEqual([]);
  });

  it('pins the host key that the first test of a source saw, and keeps what failed', async () => {
    const probe = async (host_key: string) => {
      const started = await steps.begin(await queueProbe(hub.db, seed), worker);
      const seen = { type: 'source' as const, host_key, server: 'OpenSSH', entry_names: ['a'], latency_ms: 3 };
      await worker.finish(started, outcomes.completed({ kind: 'probe', probe: seen }));
      return hub.db.selectFrom('sources').selectAll().where('id', '=', seed.sourceId).executeTakeFirstOrThrow();
    };
    expect(await probe('SHA256:first')).toMatchObject({ host_key: 'SHA256:first', last_probe: { ok: true } });
    expect(await probe('SHA256:second')).toMatchObject({ host_key: 'SHA256:first' });
    const started = await steps.begin(await queueProbe(hub.db, seed), worker);
    await worker.finish(started, outcomes.failed('SSH_HOST_KEY_CHANGED'));
    const row = await hub.db
      .selectFrom('sources')
      .selectAll()
      .where('id', '=', seed.sourceId)
      .executeTakeFirstOrThrow();
    expect(row.last_probe).toMatchObject({ ok: false, error_code: 'SSH_HOST_KEY_CHANGED' });
  });

  it('keeps names that the database cannot hold as they are from breaking a finish', async () => {
    const run = await queueBackup(hub.db, seed);
    const started = await steps.begin(run, worker);
    const names = ['nul \0 byte', 'half \ud800 pair', 'a \\u0000 b', 'line\nbreak'];
    const events = names.map((name, index) => itemEvent(index + 1, name));
    const beat = { ...lease(started), progress: { ...someProgress(1), current_item: names[0] ?? '' }, events };
    expect((await worker.heartbeat([beat])).status).toBe(200);
    const outcome = { ...outcomes.failed('SOURCE_PERMISSION'), error_detail: names.join(), log_excerpt: names.join() };
    expect((await worker.finish(started, outcome)).status).toBe(200);
    const rows = await hub.db
      .selectFrom('run_events')
      .select('params')
      .where('run_id', '=', run.id)
      .where('message_id', '=', 'item_vanished')
      .orderBy('id')
      .execute();
    expect(rows.map((row) => row.params.item)).toEqual([
      'nul \ufffd byte',
      'half \ufffd pair',
      'a \\u0000 b',
      'line\nbreak',
    ]);
  });

  it('changes a status only as the table of states allows, and only from what the caller saw', async () => {
    const { id, epoch } = await queueBackup(hub.db, seed);
    const change = (from: RunStatus, to: RunStatus, at = epoch) =>
      hub.db.transaction().execute((trx) => transitionRun(trx, { id, epoch: at }, { from, to }));
    await expect(change('queued', 'running')).rejects.toThrow('illegal transition');
    await expect(change('success', 'queued')).rejects.toThrow('illegal transition');
    expect(await change('running', 'failed')).toBeUndefined();
    expect(await change('queued', 'cancelled', epoch + 1)).toBeUndefined();
    expect((await steps.row(id)).status).toBe('queued');
    expect(await change('queued', 'cancelled')).toMatchObject({ status: 'cancelled' });
    expect(await change('queued', 'cancelled')).toBeUndefined();
  });
});
