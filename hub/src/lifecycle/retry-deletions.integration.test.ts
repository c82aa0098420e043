import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import {
  queueBackup,
  queueRun,
  type Seed,
  seedTenant,
  snapshotRefOf,
  snapshotResult,
} from '../testing/run-fixtures.ts';
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { retryDeletions } from './retry-deletions.ts';

describe.each(databaseKinds)('a deletion that failed for good, on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0 } });
    worker = await scriptedWorker(hub);
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });
  const deletions = (snapshotId: string) =>
    hub.db
      .selectFrom('runs')
      .selectAll()
      .where('snapshot_id', '=', snapshotId)
      .where('kind', '=', 'retention')
      .orderBy('id')
      .execute();
  const age = (runId: string, minutes: number) =>
    hub.db
      .updateTable('runs')
      .set({ finished_at: new Date(Date.now() - minutes * 60_000) })
      .where('id', '=', runId)
      .execute();

  it('is taken up again after a while, a longer one each time, until the snapshot is deleted', async () => {
    const backup = await queueBackup(hub.db, seed);
    const started = await steps.begin(backup, worker);
    const snapshot = snapshotResult(started.snapshot_id ?? '', worker.id, seed);
    await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }));
    const id = snapshot.snapshot_id;
    await hub.db.updateTable('snapshots').set({ status: 'deleting' }).where('id', '=', id).execute();
    const spec = { kind: 'retention' as const, snapshot: snapshotRefOf(seed, snapshot) };
    const first = await queueRun(hub.db, seed, 'retention', spec, {
      snapshotId: id,
      requiredWorkerId: worker.id,
      maxAttempts: 1,
    });

    await retryDeletions(steps.reconciling());
    expect(await deletions(id)).toHaveLength(1);
    await worker.finish(await steps.begin(first, worker), outcomes.failed('INTERNAL'));
    expect(await steps.row(first.id)).toMatchObject({ status: 'failed' });
    await retryDeletions(steps.reconciling());
    expect(await deletions(id)).toHaveLength(1);

    await age(first.id, 2);
    await Promise.all([retryDeletions(steps.reconciling()), retryDeletions(steps.reconciling())]);
    const [, second, ...more] = await deletions(id);
    expect(more).toEqual([]);
    expect(second).toMatchObject({ status: 'queued', trigger: 'retry', required_worker_id: worker.id });
    const audit = await hub.db
      .selectFrom('audit_log')
      .selectAll()
      .where('action', '=', 'snapshot.delete_retried')
      .execute();
    expect(audit).toMatchObject([{ object_id: id, details: { run_id: second?.id, after_run_id: first.id } }]);

    await hub.db
      .updateTable('runs')
      .set({ status: 'failed', finished_at: new Date(Date.now() - 90_000) })
      .where('id', '=', second?.id ?? '')
      .execute();
    await retryDeletions(steps.reconciling());
    expect(await deletions(id)).toHaveLength(2);
    await age(second?.id ?? '', 3);
    await retryDeletions(steps.reconciling());
    const third = (await deletions(id)).at(-1);
    await worker.finish(await steps.begin({ id: third?.id ?? '' }, worker), outcomes.completed({ kind: 'retention' }));
    const row = await hub.db.selectFrom('snapshots').select('status').where('id', '=', id).executeTakeFirst();
    expect(row).toEqual({ status: 'deleted' });
    await age(third?.id ?? '', 600);
    await retryDeletions(steps.reconciling());
    expect(await deletions(id)).toHaveLength(3);
  });
});
