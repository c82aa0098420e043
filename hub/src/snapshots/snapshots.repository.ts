import { type Kysely, sql, type Transaction } from 'kysely';
import { hasRows } from '../db/has-rows.ts';
import { newestFirst } from '../db/newest-first.ts';
import type { Database, SnapshotRow, SnapshotStatus } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

type Db = Kysely<Database>;

export interface SnapshotFilter {
  readonly jobId: string | undefined;
  readonly sourceId: string | undefined;
  readonly status: SnapshotStatus | undefined;
}

function ofTenant(db: Db, tenantId: string) {
  return db.selectFrom('snapshots').selectAll().where('tenant_id', '=', tenantId);
}

export function findSnapshot(db: Db, tenantId: string, snapshotId: string) {
  return ofTenant(db, tenantId).where('id', '=', snapshotId).executeTakeFirst();
}

/** Keeps the snapshot from being deleted until the transaction ends. */
export function findSnapshotShared(trx: Transaction<Database>, tenantId: string, snapshotId: string) {
  return ofTenant(trx, tenantId).where('id', '=', snapshotId).forShare().executeTakeFirst();
}

export function findSnapshotForUpdate(trx: Transaction<Database>, tenantId: string, snapshotId: string) {
  return ofTenant(trx, tenantId).where('id', '=', snapshotId).forUpdate().executeTakeFirst();
}

/** Runs of a snapshot that have not ended. */
export function listOpenRuns(db: Db, tenantId: string, snapshotId: string) {
  return db
    .selectFrom('runs')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('snapshot_id', '=', snapshotId)
    .where('status', 'in', ['queued', 'dispatched', 'running'])
    .orderBy('id', 'desc')
    .execute();
}

/** Whether the source has another committed snapshot; keeps that answer true for deletions until the transaction ends. */
export async function hasAnotherCommitted(
  trx: Transaction<Database>,
  { id, tenant_id, source_id }: SnapshotRow,
): Promise<boolean> {
  await trx
    .selectFrom('sources')
    .select('id')
    .where('tenant_id', '=', tenant_id)
    .where('id', '=', source_id)
    .forNoKeyUpdate()
    .execute();
  const ofSource = ofTenant(trx, tenant_id).where('source_id', '=', source_id).where('status', '=', 'committed');
  return hasRows(ofSource.where('id', '<>', id));
}

export function setSnapshotStatus(db: Db, tenantId: string, snapshotId: string, status: SnapshotStatus) {
  return db
    .updateTable('snapshots')
    .set({ status })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', snapshotId)
    .execute();
}

export function listSnapshots(
  db: Db,
  tenantId: string,
  { jobId, sourceId, status }: SnapshotFilter,
  page: PageRequest,
) {
  let query = ofTenant(db, tenantId);
  if (jobId !== undefined) query = query.where('job_id', '=', jobId);
  if (sourceId !== undefined) query = query.where('source_id', '=', sourceId);
  // In the statement itself, so that the planner knows a partial index to fit.
  if (status !== undefined) query = query.where('status', '=', sql.lit(status));
  return newestFirst(query, page).execute();
}
