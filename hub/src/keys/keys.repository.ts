import { type Insertable, type Kysely, sql, type Transaction } from 'kysely';
import { hasRows } from '../db/has-rows.ts';
import type { Database, SnapshotRow, TenantKeysTable } from '../db/schema.ts';

type Db = Kysely<Database>;
type Trx = Transaction<Database>;

/** Snapshots that are encrypted by age: those of the archive engine. */
const byAge = ['local_fs', 's3'];

/** Newest first. */
export function listTenantKeys(db: Db, tenantId: string) {
  return db
    .selectFrom('tenant_keys')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .orderBy('created_at', 'desc')
    .orderBy('recipient')
    .execute();
}

/** The tenant, kept from changes by others until the transaction ends. */
export function lockTenant(trx: Trx, tenantId: string) {
  return trx.selectFrom('tenants').selectAll().where('id', '=', tenantId).forUpdate().executeTakeFirst();
}

/** Makes a key the present one; one that the tenant had before is so again. What was sealed of it stays. */
export async function putPresentKey(trx: Trx, key: Insertable<TenantKeysTable>): Promise<void> {
  await trx
    .updateTable('tenant_keys')
    .set({ retired_at: sql<Date>`now()` })
    .where('tenant_id', '=', key.tenant_id)
    .where('recipient', '<>', key.recipient)
    .where('retired_at', 'is', null)
    .execute();
  await trx
    .insertInto('tenant_keys')
    .values(key)
    .onConflict((conflict) => conflict.columns(['tenant_id', 'recipient']).doUpdateSet({ retired_at: null }))
    .execute();
}

export async function forgetIdentity(trx: Trx, tenantId: string, recipient: string): Promise<void> {
  await trx
    .updateTable('tenant_keys')
    .set({ identity_sealed: null })
    .where('tenant_id', '=', tenantId)
    .where('recipient', '=', recipient)
    .execute();
}

/** Whether the platform has a key that opens what is encrypted so. Of what is not by age it has all that there is. */
export async function opensSnapshot(
  db: Db,
  tenantId: string,
  { algorithm, recipients }: { readonly algorithm: string; readonly recipients: readonly string[] },
): Promise<boolean> {
  if (algorithm !== 'age') return true;
  if (recipients.length === 0) return false;
  return hasRows(
    db
      .selectFrom('tenant_keys')
      .select('recipient')
      .where('tenant_id', '=', tenantId)
      .where('recipient', 'in', [...recipients])
      .where('identity_sealed', 'is not', null),
  );
}

/** Whether a backup that has not ended will be encrypted to the recipient. */
export function isAwaited(db: Db, tenantId: string, recipient: string): Promise<boolean> {
  return hasRows(
    db
      .selectFrom('runs')
      .select('id')
      .where('tenant_id', '=', tenantId)
      .where('kind', '=', 'backup')
      .where('status', 'in', ['queued', 'dispatched', 'running'])
      .where(sql<boolean>`spec->'recipients' @> ${JSON.stringify([recipient])}::jsonb`),
  );
}

/** By recipient, how many snapshots that still have bytes are encrypted to it. */
export async function countByRecipient(db: Db, tenantId: string): Promise<Map<string, number>> {
  const { rows } = await sql<{ recipient: string; count: number }>`
    select recipient, count(*)::int as count
    from snapshots, jsonb_array_elements_text(encryption->'recipients') as recipient
    where tenant_id = ${tenantId} and status <> 'deleted' group by recipient
  `.execute(db);
  return new Map(rows.map(({ recipient, count }) => [recipient, count]));
}

function otherThan(db: Db, tenantId: string, recipients: readonly string[]) {
  const wanted = JSON.stringify(recipients);
  return db
    .selectFrom('snapshots')
    .where('tenant_id', '=', tenantId)
    .where('status', '=', 'committed')
    .where('storage_backend', 'in', byAge)
    .where(
      sql<boolean>`not (encryption->'recipients' @> ${wanted}::jsonb and encryption->'recipients' <@ ${wanted}::jsonb)`,
    );
}

/** Committed snapshots that are encrypted to other recipients than these. */
export async function countOthers(db: Db, tenantId: string, recipients: readonly string[]): Promise<number> {
  const { count } = await otherThan(db, tenantId, recipients)
    .select((expression) => expression.fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** The same, those without a run that rewraps them, kept from deletion until the transaction ends. */
export function lockOthers(
  trx: Trx,
  tenantId: string,
  recipients: readonly string[],
  limit: number,
): Promise<SnapshotRow[]> {
  const isUnderWay = sql<boolean>`exists (select from runs where runs.tenant_id = ${tenantId} and runs.kind = 'maintenance'
    and runs.snapshot_id = snapshots.id and runs.status in ('queued', 'dispatched', 'running'))`;
  return otherThan(trx, tenantId, recipients)
    .selectAll()
    .where((expression) => expression.not(isUnderWay))
    .orderBy('id')
    .limit(limit)
    .forShare()
    .execute();
}
