import type { Insertable, Kysely, Updateable } from 'kysely';
import { newestFirst } from '../db/newest-first.ts';
import type { Database, TenantKeysTable, TenantsTable } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

type Db = Kysely<Database>;

export function insertTenant(db: Db, values: Insertable<TenantsTable>) {
  return db.insertInto('tenants').values(values).returningAll().executeTakeFirstOrThrow();
}

export async function insertTenantKey(db: Db, values: Insertable<TenantKeysTable>): Promise<void> {
  await db.insertInto('tenant_keys').values(values).execute();
}

export function findTenant(db: Db, tenantId: string) {
  return db.selectFrom('tenants').selectAll().where('id', '=', tenantId).executeTakeFirst();
}

export function listTenants(db: Db, page: PageRequest) {
  return newestFirst(db.selectFrom('tenants').selectAll(), page).execute();
}

export function updateTenant(db: Db, tenantId: string, values: Updateable<TenantsTable>) {
  return db.updateTable('tenants').set(values).where('id', '=', tenantId).returningAll().executeTakeFirst();
}
