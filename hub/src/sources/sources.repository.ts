import { type Insertable, type Kysely, type Selectable, sql, type Transaction, type Updateable } from 'kysely';
import { newestFirst } from '../db/newest-first.ts';
import type { Database, SourcesTable } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

type Db = Kysely<Database>;
export type SourceRow = Selectable<SourcesTable>;

export function insertSource(db: Db, values: Insertable<SourcesTable>) {
  return db.insertInto('sources').values(values).returningAll().executeTakeFirstOrThrow();
}

function active(db: Db, tenantId: string) {
  return db.selectFrom('sources').selectAll().where('tenant_id', '=', tenantId).where('status', '=', 'active');
}

export function findSource(db: Db, tenantId: string, sourceId: string) {
  return active(db, tenantId).where('id', '=', sourceId).executeTakeFirst();
}

/** Active sources by their ids, each with what its tenant's operator allows. */
export async function findSourcesWithTenants(db: Db, sourceIds: readonly string[]) {
  const rows = await db
    .selectFrom('sources')
    .innerJoin('tenants', 'tenants.id', 'sources.tenant_id')
    .selectAll('sources')
    .select('tenants.local_paths as tenant_local_paths')
    .where('sources.id', '=', sql<string>`any(${sourceIds}::text[])`)
    .where('sources.status', '=', 'active')
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}

/** Keeps the source from being changed or deleted until the transaction ends. */
export function findSourceShared(trx: Transaction<Database>, tenantId: string, sourceId: string) {
  return active(trx, tenantId).where('id', '=', sourceId).forShare().executeTakeFirst();
}

export function findSourceForUpdate(trx: Transaction<Database>, tenantId: string, sourceId: string) {
  return active(trx, tenantId).where('id', '=', sourceId).forUpdate().executeTakeFirst();
}

export function listSources(db: Db, tenantId: string, page: PageRequest) {
  return newestFirst(active(db, tenantId), page).execute();
}

export function updateSource(db: Db, tenantId: string, sourceId: string, values: Updateable<SourcesTable>) {
  return db
    .updateTable('sources')
    .set({ ...values, updated_at: sql<Date>`now()` })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', sourceId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Whether a job that is not deleted, or a run that has not ended, reads from it. */
export async function isSourceInUse(db: Db, tenantId: string, sourceId: string): Promise<boolean> {
  const job = db
    .selectFrom('jobs')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('source_id', '=', sourceId)
    .where('status', '!=', 'deleted');
  const run = db
    .selectFrom('runs')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('source_id', '=', sourceId)
    .where('kind', 'in', ['backup', 'probe'])
    .where('status', 'in', ['queued', 'dispatched', 'running']);
  return (await job.unionAll(run).limit(1).executeTakeFirst()) !== undefined;
}
