import { runSpec } from '@xvault/shared/run-kinds.ts';
import { type Kysely, sql, type Transaction } from 'kysely';
import { writeAudit } from '../audit/audit.ts';
import type { Database, RunRow } from '../db/schema.ts';
import { createRun } from './create-run.ts';
import type { Reconciling } from './reconciling.ts';

const platform = { userId: null, address: null };
const perRound = 100;
/** Doubles with each deletion that failed for good, up to the limit. */
const [firstWaitSeconds, longestWaitSeconds] = [60, 6 * 3600];

/**
 * A snapshot whose deletion failed for good stays out of use, for some of its bytes may be gone: another run takes the deletion
 * up after a while, as often as it needs.
 */
export async function retryDeletions({ db, logger, signal }: Reconciling): Promise<void> {
  for (const { id } of await stuckDeletions(db)) {
    if (signal.aborted) return;
    try {
      const run = await db.transaction().execute((trx) => retryDeletion(trx, id));
      if (run !== null) logger.warn({ runId: run.id, snapshotId: id }, 'the deletion of a snapshot is tried again');
    } catch (error) {
      logger.error({ err: error, snapshotId: id }, 'the deletion of a snapshot could not be tried again');
    }
  }
}

/** Those whose last run for it ended long enough ago for their number of failures. */
async function stuckDeletions(db: Kysely<Database>): Promise<{ id: string }[]> {
  const { rows } = await sql<{ id: string }>`
    select snapshots.id from snapshots
    cross join lateral (
      select count(*) as tries, max(finished_at) as ended_at, bool_and(finished_at is not null) as all_ended
      from runs where runs.snapshot_id = snapshots.id and runs.kind = 'retention') as past
    where snapshots.status = 'deleting' and past.tries > 0 and past.all_ended
      and past.ended_at < now() - make_interval(
        secs => least(${longestWaitSeconds}::float8, ${firstWaitSeconds}::float8 * 2 ^ least(past.tries - 1, 20)))
    order by snapshots.id limit ${perRound}
  `.execute(db);
  return rows;
}

async function retryDeletion(trx: Transaction<Database>, snapshotId: string): Promise<RunRow | null> {
  // The lock that a customer's own deletion takes as well: there is never more than one run at it.
  const snapshot = await trx
    .selectFrom('snapshots')
    .select(['id', 'tenant_id', 'status'])
    .where('id', '=', snapshotId)
    .forUpdate()
    .executeTakeFirst();
  if (snapshot?.status !== 'deleting') return null;
  const last = await trx
    .selectFrom('runs')
    .selectAll()
    .where('snapshot_id', '=', snapshotId)
    .where('kind', '=', sql.lit('retention'))
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (last?.finished_at == null) return null;
  const spec = runSpec.parse(last.spec);
  if (spec.kind !== 'retention') throw new Error(`run ${last.id} is not a deletion`);
  const run = await createRun(trx, {
    tenantId: last.tenant_id,
    kind: 'retention',
    trigger: 'retry',
    spec,
    jobId: last.job_id,
    sourceId: last.source_id,
    snapshotId,
    destinationId: last.destination_id,
    requiredWorkerId: last.required_worker_id,
    pool: last.pool,
    priority: last.priority,
  });
  const details = { run_id: run.id, after_run_id: last.id, error_code: last.error_code };
  const object = { objectType: 'snapshot', objectId: snapshotId };
  await writeAudit(trx, platform, { tenantId: last.tenant_id, action: 'snapshot.delete_retried', ...object, details });
  return run;
}
