import { type Insertable, type Kysely, type Selectable, sql, type Transaction, type Updateable } from 'kysely';
import { hasRows } from '../db/has-rows.ts';
import { newestFirst } from '../db/newest-first.ts';
import type { ConnectionsTable, Database } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

type Db = Kysely<Database>;
export type ConnectionRow = Selectable<ConnectionsTable>;

export function insertConnection(db: Db, values: Insertable<ConnectionsTable>) {
  return db.insertInto('connections').values(values).returningAll().executeTakeFirstOrThrow();
}

function present(db: Db, tenantId: string) {
  return db.selectFrom('connections').selectAll().where('tenant_id', '=', tenantId).where('status', '!=', 'deleted');
}

export function findConnection(db: Db, tenantId: string, connectionId: string) {
  return present(db, tenantId).where('id', '=', connectionId).executeTakeFirst();
}

/** Keeps it from being deleted until the transaction ends. */
export function findConnectionShared(trx: Transaction<Database>, tenantId: string, connectionId: string) {
  return present(trx, tenantId).where('id', '=', connectionId).forShare().executeTakeFirst();
}

export function findConnectionForUpdate(trx: Transaction<Database>, tenantId: string, connectionId: string) {
  return present(trx, tenantId).where('id', '=', connectionId).forUpdate().executeTakeFirst();
}

export function listConnections(db: Db, tenantId: string, page: PageRequest) {
  return newestFirst(present(db, tenantId), page).execute();
}

export function updateConnection(db: Db, tenantId: string, connectionId: string, values: Updateable<ConnectionsTable>) {
  return db
    .updateTable('connections')
    .set({ ...values, updated_at: sql<Date>`now()` })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', connectionId)
    .returningAll()
    .executeTakeFirst();
}

/** Whether a source that is not deleted acts by it. */
export function isConnectionInUse(db: Db, tenantId: string, connectionId: string): Promise<boolean> {
  return hasRows(
    db
      .selectFrom('sources')
      .select('id')
      .where('tenant_id', '=', tenantId)
      .where('status', '=', 'active')
      .where(sql<boolean>`config ->> 'connection_id' = ${connectionId}`),
  );
}
