import { newId } from '@xvault/shared/ids.ts';
import type { SnapshotRef, SnapshotResult } from '@xvault/shared/snapshots.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RunRow } from '../db/schema.ts';
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
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

const waits = 'waits for the run before it of the same job';

describe.each(databaseKinds)('runs of one job of the sync engine, on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0, tenantMaxRuns: 100 } });
    worker = await scriptedWorker(hub, { slots: 50 });
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });
  beforeEach(async () => {
    for (const table of ['outbox', 'run_attempts', 'run_events', 'snapshots', 'runs'] as const)
      await hub.db.deleteFrom(table).execute();
    seed = await seedTenant(hub.db);
  });

  const versionOf = (number: number, id = newId(), prefix = 'at'): SnapshotResult => ({
    ...snapshotResult(id, worker.id, seed),
    locator: { storage_backend: 'rclone', worker_id: worker.id, prefix, version: `0000000${number}-1` },
    encryption: { algorithm: 'none', recipients: [] },
  });
  const refOf = (made: SnapshotResult, of = seed, engine: SnapshotRef['engine'] = 'sync'): SnapshotRef => {
    return { ...snapshotRefOf(of, made), engine, job_id: of.jobId };
  };
  const columns = (of: Seed, snapshotId: string) => {
    return { jobId: of.jobId, sourceId: of.sourceId, destinationId: of.destinationId, snapshotId };
  };
  const made = {
    backup: (of = seed) =>
      queueRun(hub.db, of, 'backup', { ...backupSpec(of), engine: 'sync', sync: {} }, { jobId: of.jobId }),
    restore(of = seed, engine: SnapshotRef['engine'] = 'sync') {
      const snapshot = refOf(versionOf(1), of, engine);
      const target = { type: 'export', format: 'zip' } as const;
      const expires = new Date(Date.now() + 3_600_000).toISOString();
      const spec = { kind: 'restore', snapshot, paths: null, target, export_id: newId() } as const;
      const more = columns(of, snapshot.snapshot_id);
      return queueRun(hub.db, of, 'restore', { ...spec, export_expires_at: expires }, more);
    },
    validation(of = seed) {
      const snapshot = refOf(versionOf(1), of);
      return queueRun(hub.db, of, 'validation', { kind: 'validation', snapshot }, columns(of, snapshot.snapshot_id));
    },
    retention(snapshot = refOf(versionOf(1)), keep_versions: string[] = []) {
      const spec = { kind: 'retention', snapshot, keep_versions } as const;
      return queueRun(hub.db, seed, 'retention', spec, columns(seed, snapshot.snapshot_id));
    },
  };
  const statusOf = (runs: readonly RunRow[]) => Promise.all(runs.map(async ({ id }) => (await steps.row(id)).status));
  const start = async ({ id }: RunRow) => (await worker.start(id, (await steps.row(id)).attempt)).body;
  const end = async (run: RunRow) => worker.finish(await start(run), outcomes.failed('ARTIFACT_CORRUPT'));

  it('a backup holds back whatever reads or writes the same place, until it has ended', async () => {
    const backup = await made.backup();
    expect(await steps.dispatch()).toBe(1);
    const held = [await made.restore(), await made.validation(), await made.retention()];
    const other = await seedTenant(hub.db);
    const free = [
      await made.restore(other),
      await made.backup(await seedTenant(hub.db)),
      await queueProbe(hub.db, seed),
    ];
    expect(await steps.dispatch()).toBe(3);
    expect(await statusOf(free)).toEqual(['dispatched', 'dispatched', 'dispatched']);
    const started = await start(backup);
    expect(await steps.dispatch()).toBe(0);
    for (const run of held) expect(await steps.waitReason(run.id)).toBe(waits);
    await worker.finish(started, outcomes.failed('ARTIFACT_CORRUPT'));
    await steps.dispatch();
    expect(await statusOf(held)).toContain('dispatched');
  });

  it('those that read go together, and hold back those that write', async () => {
    const reading = [await made.restore(), await made.validation(), await made.restore()];
    expect(await steps.dispatch()).toBe(3);
    const writing = [await made.backup(), await made.retention()];
    const late = await made.validation();
    expect(await steps.dispatch()).toBe(1);
    expect(await statusOf([...writing, late])).toEqual(['queued', 'queued', 'dispatched']);
    for (const run of [...reading, late]) {
      expect(await steps.dispatch()).toBe(0);
      await end(run);
    }
    expect(await steps.dispatch()).toBe(1);
  });

  it('of those that come up at the same moment one goes, then the others', async () => {
    const runs = [await made.backup(), await made.retention(), await made.restore(), await made.retention()];
    const seen = new Set<string>();
    for (const _ of runs) {
      expect(await steps.dispatch()).toBe(1);
      expect(await steps.dispatch()).toBe(0);
      const going = await hub.db.selectFrom('runs').selectAll().where('status', '=', 'dispatched').execute();
      expect(going).toHaveLength(1);
      for (const run of going) {
        seen.add(run.id);
        await end(run);
      }
    }
    expect(seen).toEqual(new Set(runs.map(({ id }) => id)));
  });

  it('of the archive engine none waits, for no snapshot shares anything with another', async () => {
    await queueBackup(hub.db, seed);
    await made.restore(seed, 'archive');
    expect(await steps.dispatch()).toBe(2);
  });

  async function commit(version: SnapshotResult, more: { destination_id?: string; status?: 'deleting' } = {}) {
    const { snapshot_id: id, locator, encryption, ...sizes } = version;
    const run = await queueBackup(hub.db, seed, { jobId: null });
    await hub.db.updateTable('runs').set({ status: 'success' }).where('id', '=', run.id).execute();
    const ids = { tenant_id: seed.tenantId, source_id: seed.sourceId, job_id: seed.jobId, run_id: run.id };
    const place = { destination_id: seed.destinationId, storage_backend: 'rclone' as const, worker_id: worker.id };
    const json = { locator: JSON.stringify(locator), encryption: JSON.stringify(encryption) };
    await hub.db
      .insertInto('snapshots')
      .values({ id, ...ids, ...place, ...json, ...sizes, ...more })
      .execute();
    return version;
  }

  it('a deletion keeps what is there when it starts, not when it was asked for, and nothing of another place', async () => {
    const [one, two] = [await commit(versionOf(1)), await commit(versionOf(2))];
    const run = await made.retention(refOf(one), ['00000002-1']);
    await hub.db.updateTable('snapshots').set({ status: 'deleting' }).where('id', '=', one.snapshot_id).execute();
    await commit(versionOf(3));
    await commit(versionOf(4), { status: 'deleting' });
    await commit(versionOf(5, newId(), 'elsewhere'));
    await commit(versionOf(6), { destination_id: (await seedTenant(hub.db, { of: seed.tenantId })).destinationId });
    const started = await steps.begin(run, worker);
    expect(started.spec).toMatchObject({ keep_versions: ['00000002-1', '00000003-1'] });
    await worker.finish(started, outcomes.failed('STORAGE_UNREACHABLE'));
    // Where all others have gone, another one may have its name by the time that it is tried again.
    await hub.db.updateTable('snapshots').set({ status: 'deleted' }).where('id', '=', two.snapshot_id).execute();
    await commit(versionOf(1));
    await steps.endBackoff(run.id);
    expect((await steps.begin(run, worker)).spec).toMatchObject({ keep_versions: ['00000003-1', '00000001-1'] });
  });
});
