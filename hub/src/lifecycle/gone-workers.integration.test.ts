import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import {
  backupSpec,
  queueBackup,
  queueProbe,
  queueRun,
  type Seed,
  seedTenant,
  snapshotRefOf,
  snapshotResult,
} from '../testing/run-fixtures.ts';
import { type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { cancelRun, forceCancelRun } from './cancel.ts';
import { reconcileLeases, reconcileRest } from './reconciler.ts';

const longAgo = new Date(Date.now() - 3_600_000);

describe.each(databaseKinds)('workers that cannot or do not answer, on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0, tenantMaxRuns: 100, leaseGraceMs: 1000 } });
    worker = await scriptedWorker(hub, { slots: 50 });
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });
  const age = (runId: string) => sql`update runs set queued_at = ${longAgo} where id = ${runId}`.execute(hub.db);
  const validation = (required: string) => {
    const spec = {
      kind: 'validation' as const,
      snapshot: snapshotRefOf(seed, snapshotResult('snapshot-1', required, seed)),
    };
    return queueRun(hub.db, seed, 'validation', spec, { requiredWorkerId: required });
  };

  it('a run bound to a worker that cannot do it says so, and fails when that lasts', async () => {
    const blind = await scriptedWorker(hub);
    await blind.register({ capabilities: ['backup', 'probe', 'retention'] });
    const run = await validation(blind.id);
    await age(run.id);
    expect(await steps.dispatch()).toBe(0);
    expect(await steps.waitReason(run.id)).toBe(`worker ${blind.id} cannot do this`);
    // It has said only now what it can do: another start of it may be under way.
    await reconcileRest(steps.reconciling());
    expect((await steps.row(run.id)).status).toBe('queued');
    await hub.db.updateTable('workers').set({ registered_at: longAgo }).where('id', '=', blind.id).execute();
    await reconcileRest(steps.reconciling());
    expect(await steps.row(run.id)).toMatchObject({ status: 'failed', error_code: 'NO_CAPABLE_WORKER' });
    await blind.close();
  });

  it('a test whose pool has only workers that cannot do it fails when that lasts', async () => {
    const dull = await scriptedWorker(hub, { pool: 'dull' });
    await dull.register({ pool: 'dull', capabilities: ['backup'] });
    await hub.db.updateTable('workers').set({ registered_at: longAgo }).where('id', '=', dull.id).execute();
    const [lost, served] = [await queueProbe(hub.db, seed, { pool: 'dull' }), await queueProbe(hub.db, seed)];
    await age(lost.id);
    await age(served.id);
    await reconcileRest(steps.reconciling());
    expect(await steps.row(lost.id)).toMatchObject({ status: 'failed', error_code: 'NO_CAPABLE_WORKER' });
    expect((await steps.row(served.id)).status).toBe('queued');
    await dull.close();
  });

  it('an agent that is lost is the customer’s, and its run fails as AGENT_OFFLINE', async () => {
    const agent = await scriptedWorker(hub);
    await hub.db.updateTable('workers').set({ kind: 'agent' }).where('id', '=', agent.id).execute();
    const run = await queueBackup(hub.db, seed, { requiredWorkerId: agent.id, maxAttempts: 1 });
    await steps.begin(run, agent);
    await steps.endLease(run.id);
    await reconcileLeases(steps.reconciling());
    expect(await steps.row(run.id)).toMatchObject({ status: 'failed', error_code: 'AGENT_OFFLINE' });
    const restarted = await queueBackup(hub.db, seed, { requiredWorkerId: agent.id, maxAttempts: 1 });
    await steps.begin(restarted, agent);
    await agent.register({ boot_id: 'another-process' });
    expect(await steps.row(restarted.id)).toMatchObject({ status: 'failed', error_code: 'AGENT_OFFLINE' });
    await agent.close();
  });

  it('a nearly full worker still gets restores and validations of what it holds, and no backups', async () => {
    const full = await scriptedWorker(hub);
    await full.register({ disk_free_bytes: 1 });
    const snapshot = snapshotRefOf(seed, snapshotResult('snapshot-2', full.id, seed));
    const target = { type: 'directory' as const, path: '/srv/restored' };
    const spec = { kind: 'restore' as const, snapshot, paths: null, target, export_id: null, export_expires_at: null };
    const restore = await queueRun(hub.db, seed, 'restore', spec, { requiredWorkerId: full.id });
    const backup = await queueBackup(hub.db, seed, { requiredWorkerId: full.id });
    await steps.dispatch();
    expect((await steps.row(restore.id)).status).toBe('dispatched');
    expect((await full.start(restore.id, 1)).status).toBe(200);
    expect((await steps.row(backup.id)).status).toBe('queued');
    expect(await steps.waitReason(backup.id)).toBe(`worker ${full.id} has too little free disk`);
    await full.close();
  });

  it('a backup to a bucket needs no free disk, one to the disk waits, and a copy for other keys goes by where its snapshot is', async () => {
    const full = await scriptedWorker(hub);
    await full.register({ disk_free_bytes: 1 });
    const bound = { requiredWorkerId: full.id };
    const bucket = { type: 'platform_s3' as const, config: {} };
    const spec = { ...backupSpec(seed), destination: bucket };
    const [first, second] = [await queueBackup(hub.db, seed, bound), await queueBackup(hub.db, seed, bound)];
    const toBucket = await queueRun(hub.db, seed, 'backup', spec, { sourceId: seed.sourceId, ...bound });
    const snapshot = snapshotRefOf(seed, snapshotResult('snapshot-3', full.id, seed));
    const task = { type: 'rewrap' as const, snapshot, recipients: ['age1'] };
    const copies = await Promise.all(
      [task, { ...task, snapshot: { ...snapshot, destination: bucket } }].map((of) =>
        queueRun(hub.db, seed, 'maintenance', { kind: 'maintenance', task: of }, bound),
      ),
    );
    await full.register({ disk_free_bytes: 1, capabilities: ['backup', 'maintenance'] });
    await steps.dispatch();
    const statuses = await Promise.all(
      [first, second, toBucket, ...copies].map(async ({ id }) => (await steps.row(id)).status),
    );
    expect(statuses).toEqual(['queued', 'queued', 'dispatched', 'queued', 'dispatched']);
    expect((await full.start(toBucket.id, 1)).status).toBe(200);
    await full.close();
  });

  it('who stopped a run is written down once, gently or by force', async () => {
    const actor = { userId: null, address: '192.0.2.7' };
    const run = await queueBackup(hub.db, seed);
    await steps.begin(run, worker);
    await cancelRun(hub.db, actor, seed.tenantId, run.id);
    await cancelRun(hub.db, actor, seed.tenantId, run.id);
    await forceCancelRun(hub.db, actor, seed.tenantId, run.id);
    await forceCancelRun(hub.db, actor, seed.tenantId, run.id);
    const audits = await hub.db
      .selectFrom('audit_log')
      .select(['action', 'address', 'tenant_id'])
      .where('object_id', '=', run.id)
      .orderBy('id')
      .execute();
    const by = { address: '192.0.2.7', tenant_id: seed.tenantId };
    expect(audits).toEqual([
      { action: 'run.cancel', ...by },
      { action: 'run.force_cancel', ...by },
    ]);
  });
});
