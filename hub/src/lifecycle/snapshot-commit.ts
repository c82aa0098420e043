import { runSpec, type SpecOf } from '@xvault/shared/run-kinds.ts';
import { ownerOf, type SnapshotRef, type SnapshotResult } from '@xvault/shared/snapshots.ts';
import type { Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { opensSnapshot } from '../keys/keys.repository.ts';
import { createRun } from './create-run.ts';
import { toPgJson } from './pg-text.ts';

/** Why the result cannot be what this attempt was asked to make; null when it can. */
export function wrongSnapshot(run: RunRow, snapshot: SnapshotResult): string | null {
  if (snapshot.snapshot_id !== run.pending_snapshot_id) return 'the snapshot has another id than the attempt was given';
  const owner = ownerOf(snapshot.locator);
  if (owner !== null && owner !== run.worker_id) return 'the snapshot is said to be with another worker';
  const { recipients, destination, engine, sync } = backupSpec(run);
  if ((engine === 'sync') !== (snapshot.locator.storage_backend === 'rclone'))
    return 'the snapshot is of another engine';
  const isLocal = destination.type === 'local_fs';
  if (isLocal !== (owner !== null)) return 'the snapshot is not at the destination that was asked for';
  if (sync !== null) {
    const isEncrypted = snapshot.encryption.algorithm === 'rclone-crypt';
    return isEncrypted === sync.encryption ? null : 'the version is not encrypted as was asked for';
  }
  const used = new Set(snapshot.encryption.recipients);
  const isSame = used.size === new Set(recipients).size && recipients.every((recipient) => used.has(recipient));
  return isSame ? null : 'the snapshot is not encrypted to exactly the recipients that were asked for';
}

/** From here on the snapshot exists: its row is written in the transaction that ends the run, and only there. */
export async function commitSnapshot(
  trx: Transaction<Database>,
  run: RunRow,
  result: SnapshotResult,
  warnings: number,
): Promise<void> {
  const spec = backupSpec(run);
  const { snapshot_id: id, locator, encryption, ...sizes } = result;
  await trx
    .insertInto('snapshots')
    .values({
      id,
      tenant_id: run.tenant_id,
      source_id: spec.source_id,
      job_id: spec.job_id,
      run_id: run.id,
      destination_id: spec.destination_id,
      storage_backend: locator.storage_backend,
      worker_id: ownerOf(locator),
      locator: toPgJson(locator),
      encryption: toPgJson(encryption),
      warnings,
      ...sizes,
    })
    .execute();
  if (spec.sync?.mode === 'mirror') await dropEarlierVersions(trx, run.tenant_id, spec.job_id, id);
}

/** A mirror keeps nothing: what earlier runs of the job brought is replaced or gone. */
async function dropEarlierVersions(
  trx: Transaction<Database>,
  tenantId: string,
  jobId: string,
  newest: string,
): Promise<void> {
  await trx
    .updateTable('snapshots')
    .set({ status: 'deleted' })
    .where('tenant_id', '=', tenantId)
    .where('job_id', '=', jobId)
    .where('storage_backend', '=', 'rclone')
    .where('id', '<>', newest)
    .where('status', 'in', ['committed', 'missing', 'corrupt'])
    .execute();
}

/** A validation of the new snapshot follows where its job says so. */
export async function followWithValidation(
  trx: Transaction<Database>,
  run: RunRow,
  result: SnapshotResult,
): Promise<void> {
  const spec = backupSpec(run);
  const job = await trx
    .selectFrom('jobs')
    .select(['jobs.validation_mode', 'jobs.validation_level', 'jobs.priority'])
    .where('jobs.tenant_id', '=', run.tenant_id)
    .where('jobs.id', '=', spec.job_id)
    .executeTakeFirst();
  if (job === undefined || job.validation_mode !== 'post_run') return;
  const opened = await opensSnapshot(trx, run.tenant_id, result.encryption);
  await createRun(trx, {
    tenantId: run.tenant_id,
    kind: 'validation',
    trigger: 'validation',
    spec: { kind: 'validation', snapshot: snapshotRef(spec, result), level: job.validation_level, opened },
    jobId: spec.job_id,
    sourceId: spec.source_id,
    snapshotId: result.snapshot_id,
    destinationId: spec.destination_id,
    requiredWorkerId: ownerOf(result.locator),
    pool: run.pool,
    priority: job.priority,
  });
}

function snapshotRef(spec: SpecOf<'backup'>, result: SnapshotResult): SnapshotRef {
  return {
    snapshot_id: result.snapshot_id,
    source_id: spec.source_id,
    locator: result.locator,
    artifact_bytes: result.artifact_bytes,
    artifact_sha256: result.artifact_sha256,
    index_bytes: result.index_bytes,
    index_sha256: result.index_sha256,
    manifest_bytes: result.manifest_bytes,
    manifest_sha256: result.manifest_sha256,
    destination_id: spec.destination_id,
    destination: spec.destination,
    engine: spec.engine,
    job_id: spec.job_id,
  };
}

function backupSpec(run: RunRow): SpecOf<'backup'> {
  const spec = runSpec.parse(run.spec);
  if (spec.kind !== 'backup') throw new Error(`run ${run.id} is not a backup`);
  return spec;
}
