import { runResult, runSpec } from '@xvault/shared/run-kinds.ts';
import { sql, type Transaction } from 'kysely';
import type { Database, RunRow, SnapshotStatus, ValidationStatus } from '../db/schema.ts';
import { dbNow } from './clock.ts';
import { toPgText } from './pg-text.ts';

/** Errors of a validation that are a verdict on the snapshot, and what it then is. */
const verdicts: Readonly<Record<string, SnapshotStatus>> = {
  ARTIFACT_CORRUPT: 'corrupt',
  ARTIFACT_TRUNCATED: 'corrupt',
  ARTIFACT_MISSING: 'missing',
  SYNC_VERSION_BROKEN: 'corrupt',
};

export async function markValidationRunning(trx: Transaction<Database>, run: RunRow): Promise<void> {
  await trx.updateTable('runs').set({ validation_status: 'running' }).where('id', '=', run.id).execute();
  if (run.snapshot_id === null) return;
  await trx
    .updateTable('snapshots')
    .set({ validation_status: 'running' })
    .where('tenant_id', '=', run.tenant_id)
    .where('id', '=', run.snapshot_id)
    .execute();
  await copyToBackupRun(trx, run);
}

/** Writes the outcome of an ended validation on its snapshot, on the run that made it, and on the run itself. */
export async function settleValidation(trx: Transaction<Database>, run: RunRow): Promise<void> {
  if (run.snapshot_id === null) return;
  const passed = run.status === 'success' || run.status === 'warning';
  const spoilt = run.status === 'failed' && run.error_code !== null ? verdicts[run.error_code] : undefined;
  const own: ValidationStatus = passed ? 'success' : spoilt === undefined ? 'not_run' : 'failed';
  await trx.updateTable('runs').set({ validation_status: own }).where('id', '=', run.id).execute();
  const snapshot = trx
    .updateTable('snapshots')
    .where('tenant_id', '=', run.tenant_id)
    .where('id', '=', run.snapshot_id);
  if (passed) {
    await snapshot.set({ ...said(run), validation_status: 'success', verified_at: dbNow() }).execute();
  } else if (spoilt !== undefined) {
    await snapshot.set({ ...said(run), validation_status: 'failed' }).execute();
    await snapshot.where('status', '=', 'committed').set({ status: spoilt }).execute();
  } else {
    // It ended without a verdict, so the last one stands.
    const last = sql<ValidationStatus>`case when verified_at is null then 'not_run' else 'success' end`;
    await snapshot.where('validation_status', '=', 'running').set({ validation_status: last }).execute();
  }
  await copyToBackupRun(trx, run);
}

/** The level that was asked for, and the worker's words on what it found. */
function said(run: RunRow) {
  const spec = runSpec.parse(run.spec);
  const result = runResult.safeParse(run.result);
  const excerpt = result.success && result.data.kind === 'validation' ? result.data.excerpt : '';
  return {
    validation_level: spec.kind === 'validation' ? spec.level : null,
    validation_excerpt: excerpt === '' ? (run.error_summary ?? null) : toPgText(excerpt),
  };
}

async function copyToBackupRun(trx: Transaction<Database>, run: RunRow): Promise<void> {
  await sql`
    update runs set validation_status = snapshots.validation_status from snapshots
    where snapshots.id = ${run.snapshot_id} and snapshots.tenant_id = ${run.tenant_id} and runs.id = snapshots.run_id
  `.execute(trx);
}
