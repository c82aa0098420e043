import { type ErrorCode, errorCodes } from '@xvault/shared/errors.ts';
import type { ResultOf, RunResult } from '@xvault/shared/run-kinds.ts';
import type { Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { endRun, failAttempt, failRun } from './attempt-end.ts';
import { forgetUnneededSecret } from './job-secret.ts';
import { toPgJson } from './pg-text.ts';
import { saveProbes } from './probe-result.ts';
import { commitRewrap, wrongRewrap } from './rewrap-commit.ts';
import type { LifecycleSettings } from './settings.ts';
import { commitSnapshot, followWithValidation, wrongSnapshot } from './snapshot-commit.ts';

interface Said {
  readonly warnings: number;
  readonly log_excerpt: string | null;
}

/** The worker did what was asked: commits the result with the end of the run. */
export async function completeRun(
  trx: Transaction<Database>,
  run: RunRow,
  result: RunResult,
  said: Said,
  settings: LifecycleSettings,
): Promise<RunRow> {
  const wrong = whatIsWrong(run, result);
  if (wrong !== null) {
    return failAttempt(trx, run, { code: 'INTERNAL', detail: wrong }, settings, { told: true, set: said });
  }
  const completed = { outcome: 'completed', told: true };
  const set = { ...said, result: toPgJson(result), progress_pct: 100 };
  if (result.kind === 'validation' && result.verdict === 'failed') {
    const failure = { code: knownCode(result.error_code), params: { differing: result.differing.length } };
    return failRun(trx, run, failure, { ...completed, errorCode: failure.code }, set);
  }
  if (result.kind === 'backup') await commitSnapshot(trx, run, result.snapshot, said.warnings);
  const snapshotId = result.kind === 'backup' ? { snapshot_id: result.snapshot.snapshot_id } : {};
  if (result.kind === 'maintenance' && !(await commitRewrap(trx, run, result.task))) {
    const failure = { code: 'SNAPSHOT_UNAVAILABLE' as const };
    return failRun(trx, run, failure, { ...completed, outcome: 'failed', errorCode: failure.code }, said);
  }
  const status = said.warnings > 0 ? 'warning' : 'success';
  const ended = await endRun(trx, run, status, completed, { ...set, ...snapshotId });
  if (result.kind === 'backup') await followWithValidation(trx, ended, result.snapshot);
  if (result.kind === 'retention') await markDeleted(trx, ended);
  if (result.kind === 'probe') await saveProbes(trx, [{ run: ended, result }]);
  if (result.kind === 'restore') await saveExport(trx, ended, result);
  return ended;
}

function whatIsWrong(run: RunRow, result: RunResult): string | null {
  if (result.kind !== run.kind) return `a result of kind ${result.kind} for a run of kind ${run.kind}`;
  if (result.kind === 'restore' && (result.export === null) !== (run.export_id === null)) {
    return 'the restore does not say of its export what was asked';
  }
  if (result.kind === 'restore' && result.export?.s3 != null) {
    const { object_key } = result.export.s3;
    if (!`/${object_key}`.endsWith(`/exports/${run.export_id}/${result.export.file_name}`))
      return 'a wrong place for the export';
  }
  if (result.kind === 'maintenance') return wrongRewrap(run, result);
  return result.kind === 'backup' ? wrongSnapshot(run, result.snapshot) : null;
}

function knownCode(code: string | null): ErrorCode {
  return errorCodes.find((known) => known === code) ?? 'ARTIFACT_CORRUPT';
}

async function markDeleted(trx: Transaction<Database>, run: RunRow): Promise<void> {
  await trx
    .updateTable('snapshots')
    .set({ status: 'deleted' })
    .where('tenant_id', '=', run.tenant_id)
    .where('id', '=', run.snapshot_id)
    .where('status', '=', 'deleting')
    .execute();
  await forgetUnneededSecret(trx, run.tenant_id, run.job_id);
}

async function saveExport(trx: Transaction<Database>, run: RunRow, result: ResultOf<'restore'>): Promise<void> {
  if (run.export_id === null || result.export === null) return;
  const { file_name, size_bytes, sha256, s3 } = result.export;
  await trx
    .updateTable('exports')
    .set({ status: 'ready', worker_id: run.worker_id, s3: s3 && toPgJson(s3), file_name, size_bytes, sha256 })
    .where('tenant_id', '=', run.tenant_id)
    .where('id', '=', run.export_id)
    .execute();
}
