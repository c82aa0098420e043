import { type Insertable, type Kysely, type Selectable, sql, type Transaction, type Updateable } from 'kysely';
import { hasRows } from '../db/has-rows.ts';
import { newestFirst } from '../db/newest-first.ts';
import type { Database, DestinationsTable } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

type Db = Kysely<Database>;
export type DestinationRow = Selectable<DestinationsTable>;

export function insertDestination(db: Db, values: Insertable<DestinationsTable>) {
  return db.insertInto('destinations').values(values).returningAll().executeTakeFirstOrThrow();
}

function active(db: Db, tenantId: string) {
  return db.selectFrom('destinations').selectAll().where('tenant_id', '=', tenantId).where('status', '=', 'active');
}

export function findDestination(db: Db, tenantId: string, destinationId: string) {
  return active(db, tenantId).where('id', '=', destinationId).executeTakeFirst();
}

/** Also one that was deleted: snapshots outlive it. */
export function findKeptDestination(db: Db, tenantId: string, destinationId: string) {
  return db
    .selectFrom('destinations')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('id', '=', destinationId)
    .executeTakeFirst();
}

/** Keeps the destination from being deleted until the transaction ends. */
export function findDestinationShared(trx: Transaction<Database>, tenantId: string, destinationId: string) {
  return active(trx, tenantId).where('id', '=', destinationId).forShare().executeTakeFirst();
}

export function findDestinationForUpdate(trx: Transaction<Database>, tenantId: string, destinationId: string) {
  return active(trx, tenantId).where('id', '=', destinationId).forUpdate().executeTakeFirst();
}

export function listDestinations(db: Db, tenantId: string, page: PageRequest) {
  return newestFirst(active(db, tenantId), page).execute();
}

export function updateDestination(
  db: Db,
  tenantId: string,
  destinationId: string,
  values: Pick<Updateable<DestinationsTable>, 'name' | 'config' | 'secret_sealed' | 'status'>,
) {
  return db
    .updateTable('destinations')
    .set({ ...values, updated_at: sql<Date>`now()` })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', destinationId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Whether a job that is not deleted, or a run that has not ended, writes to it or reads from it. */
export async function isDestinationInUse(db: Db, tenantId: string, destinationId: string): Promise<boolean> {
  const jobs = db
    .selectFrom('jobs')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('destination_id', '=', destinationId)
    .where('status', '!=', 'deleted');
  const runs = db
    .selectFrom('runs')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('destination_id', '=', destinationId)
    // By status, not by the end that is missing: there is an index of the few that have not ended.
    .where('status', 'in', ['queued', 'dispatched', 'running']);
  return (await hasRows(jobs)) || hasRows(runs);
}

/** Whether there are snapshots in it, in whatever state. */
export function holdsSnapshots(db: Db, tenantId: string, destinationId: string): Promise<boolean> {
  return hasRows(
    db
      .selectFrom('snapshots')
      .select('id')
      .where('tenant_id', '=', tenantId)
      .where('destination_id', '=', destinationId)
      .where('status', '!=', 'deleted'),
  );
}
