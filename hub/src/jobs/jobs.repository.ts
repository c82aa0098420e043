import { type Insertable, type Kysely, type Selectable, sql, type Transaction, type Updateable } from 'kysely';
import { hasRows } from '../db/has-rows.ts';
import { newestFirst } from '../db/newest-first.ts';
import type { Database, JobsTable } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

type Db = Kysely<Database>;
export type JobRow = Selectable<JobsTable>;

export function insertJob(db: Db, values: Insertable<JobsTable>) {
  return db.insertInto('jobs').values(values).returningAll().executeTakeFirstOrThrow();
}

function present(db: Db, tenantId: string) {
  return db.selectFrom('jobs').selectAll().where('tenant_id', '=', tenantId).where('status', '!=', 'deleted');
}

export function findJob(db: Db, tenantId: string, jobId: string) {
  return present(db, tenantId).where('id', '=', jobId).executeTakeFirst();
}

export function findJobForUpdate(trx: Transaction<Database>, tenantId: string, jobId: string) {
  return present(trx, tenantId).where('id', '=', jobId).forUpdate().executeTakeFirst();
}

export function listJobs(db: Db, tenantId: string, page: PageRequest) {
  return newestFirst(present(db, tenantId), page).execute();
}

export function updateJob(db: Db, tenantId: string, jobId: string, values: Updateable<JobsTable>) {
  return db
    .updateTable('jobs')
    .set({ ...values, updated_at: sql<Date>`now()` })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', jobId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Whether a backup of the job has not ended. */
export function hasOpenBackup(db: Db, tenantId: string, jobId: string): Promise<boolean> {
  return hasRows(
    db
      .selectFrom('runs')
      .select('id')
      .where('tenant_id', '=', tenantId)
      .where('job_id', '=', jobId)
      .where('kind', '=', 'backup')
      .where('status', 'in', ['queued', 'dispatched', 'running']),
  );
}
