import { newId } from '@xvault/shared/ids.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import type { SnapshotResult } from '@xvault/shared/snapshots.ts';
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

describe.each(databaseKinds)('what follows from the end of a run, on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0, tenantMaxRuns: 100 } });
    worker = await scriptedWorker(hub, { slots: 50 });
    seed = await seedTenant(hub.db, { validationMode: 'post_run' });
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });

  async function backUp(of = seed): Promise<{ runId: string; snapshot: SnapshotResult }> {
    const run = await queueBackup(hub.db, of);
    const started = await steps.begin(run, worker);
    const snapshot = snapshotResult(started.snapshot_id ?? '', worker.id, of);
    await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }));
    return { runId: run.id, snapshot };
  }
  const validationsOf = (snapshotId: string) =>
    hub.db
      .selectFrom('runs')
      .selectAll()
      .where('snapshot_id', '=', snapshotId)
      .where('kind', '=', 'validation')
      .execute();
  const snapshotRow = (id: string) =>
    hub.db.selectFrom('snapshots').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

  async function startValidation(snapshot: SnapshotResult): Promise<StartResponse> {
    const [run] = await validationsOf(snapshot.snapshot_id);
    if (run === undefined) throw new Error('no validation followed');
    return steps.begin(run, worker);
  }
  const verdict = (error_code: string | null) =>
    outcomes.completed({
      kind: 'validation',
      verdict: error_code === null ? 'success' : 'failed',
      files_checked: 2,
      bytes_checked: 1000,
      differing: error_code === null ? [] : ['a'],
      error_code,
    });

  it('a validation follows on the same worker where the job says so, and its verdict is kept', async () => {
    const { runId, snapshot } = await backUp();
    expect(await validationsOf(snapshot.snapshot_id)).toMatchObject([
      { status: 'queued', trigger: 'validation', required_worker_id: worker.id, job_id: seed.jobId },
    ]);
    await hub.db
      .insertInto('tenant_keys')
      .values({
        tenant_id: seed.tenantId,
        recipient: 'age1testrecipient',
        identity_sealed: 'sealed-identity',
        retired_at: null,
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const started = await startValidation(snapshot);
    expect(started).toMatchObject({ tenant_identities_sealed: ['sealed-identity'], source_secret_sealed: null });
    expect(await snapshotRow(snapshot.snapshot_id)).toMatchObject({ validation_status: 'running' });
    expect((await worker.finish(started, verdict(null))).body.run_status).toBe('success');
    const row = await snapshotRow(snapshot.snapshot_id);
    expect(row).toMatchObject({ status: 'committed', validation_status: 'success' });
    expect(row.verified_at).toBeInstanceOf(Date);
    expect((await steps.row(runId)).validation_status).toBe('success');
  });

  it.each([
    ['ARTIFACT_CORRUPT', 'corrupt'],
    ['ARTIFACT_MISSING', 'missing'],
  ] as const)('a verdict of %s makes the snapshot %s, said either way', async (code, status) => {
    for (const outcome of [verdict(code), outcomes.failed(code)]) {
      const { runId, snapshot } = await backUp();
      const finished = await worker.finish(await startValidation(snapshot), outcome);
      expect(finished.body.run_status).toBe('failed');
      expect(await snapshotRow(snapshot.snapshot_id)).toMatchObject({ status, validation_status: 'failed' });
      expect((await steps.row(runId)).validation_status).toBe('failed');
    }
  });

  it('a validation without a verdict leaves the snapshot as it was', async () => {
    const { snapshot } = await backUp();
    await worker.finish(await startValidation(snapshot), outcomes.failed('IDENTITY_MISMATCH'));
    const row = await snapshotRow(snapshot.snapshot_id);
    expect(row).toMatchObject({ status: 'committed', validation_status: 'not_run', verified_at: null });
  });

  it('no validation follows where the job does not ask; one that opens nothing where the platform holds no key', async () => {
    const plain = await seedTenant(hub.db);
    expect(await validationsOf((await backUp(plain)).snapshot.snapshot_id)).toEqual([]);
    for (const opened of [true, false]) {
      const asking = await seedTenant(hub.db, { validationMode: 'post_run' });
      const ofTenant = hub.db.updateTable('tenant_keys').where('tenant_id', '=', asking.tenantId);
      if (!opened) await ofTenant.set({ identity_sealed: null }).execute();
      const { snapshot } = await backUp(asking);
      expect(await validationsOf(snapshot.snapshot_id)).toMatchObject([{ spec: { level: 'full', opened } }]);
    }
  });

  it('keeps the level and the words of the last verdict with the snapshot', async () => {
    const { snapshot } = await backUp();
    const started = await startValidation(snapshot);
    const found = { files_checked: 2, bytes_checked: 10, differing: [], error_code: null, excerpt: 'all match' };
    await worker.finish(started, outcomes.completed({ kind: 'validation', verdict: 'success', ...found }));
    expect(await snapshotRow(snapshot.snapshot_id)).toMatchObject({
      validation_status: 'success',
      validation_level: 'full',
      validation_excerpt: 'all match',
    });
  });

  async function restore(snapshot: SnapshotResult): Promise<{ exportId: string; started: StartResponse }> {
    const exportId = newId();
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const target = { type: 'export', format: 'zip' } as const;
    const ref = snapshotRefOf(seed, snapshot);
    const spec = {
      kind: 'restore',
      snapshot: ref,
      paths: null,
      target,
      export_id: exportId,
      export_expires_at: expiresAt,
    } as const;
    const run = await queueRun(hub.db, seed, 'restore', spec, {
      exportId,
      snapshotId: snapshot.snapshot_id,
      requiredWorkerId: worker.id,
    });
    await hub.db
      .insertInto('exports')
      .values({
        id: exportId,
        tenant_id: seed.tenantId,
        snapshot_id: snapshot.snapshot_id,
        run_id: run.id,
        worker_id: worker.id,
        format: 'zip',
        expires_at: expiresAt,
        file_name: null,
        size_bytes: null,
        sha256: null,
        link_hash: null,
      })
      .execute();
    return { exportId, started: await steps.begin(run, worker) };
  }
  const exportRow = (id: string) =>
    hub.db.selectFrom('exports').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

  it('an export becomes ready with its restore, or failed', async () => {
    const { snapshot } = await backUp();
    const good = await restore(snapshot);
    const file = { size_bytes: 5, sha256: 'c'.repeat(64), file_name: 'files.zip' };
    const restored = { kind: 'restore', file_count: 2, bytes: 10, export: file } as const;
    expect((await worker.finish(good.started, outcomes.completed(restored))).body.run_status).toBe('success');
    expect(await exportRow(good.exportId)).toMatchObject({ status: 'ready', ...file });
    const bad = await restore(snapshot);
    await worker.finish(bad.started, outcomes.failed('RESTORE_PATH_NOT_FOUND'));
    expect(await exportRow(bad.exportId)).toMatchObject({ status: 'failed', file_name: null });
  });
});
