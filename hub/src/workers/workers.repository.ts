import type { RegisterRequest } from '@xvault/shared/internal-api.ts';
import { type Kysely, sql } from 'kysely';
import { newestFirst } from '../db/newest-first.ts';
import type { Database, WorkerRow } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

type Db = Kysely<Database>;

export function findWorker(db: Db, workerId: string) {
  return db.selectFrom('workers').selectAll().where('id', '=', workerId).executeTakeFirst();
}

/** One that is there, restores, and can be reached by customers. */
export function findRestoringWorker(db: Db) {
  return db
    .selectFrom('workers')
    .selectAll()
    .where('status', '=', 'active')
    .where('kind', '=', 'fleet')
    .where('public_url', 'is not', null)
    .where(sql<boolean>`capabilities ? 'restore'`)
    .orderBy('last_seen_at', 'desc')
    .limit(1)
    .executeTakeFirst();
}

export async function findWorkersByTokenHash(db: Db, tokenHashes: readonly string[]): Promise<Map<string, WorkerRow>> {
  const isOneOf = sql<string>`any(${tokenHashes}::text[])`;
  const rows = await db.selectFrom('workers').selectAll().where('token_hash', '=', isOneOf).execute();
  return new Map(rows.map((row) => [row.token_hash ?? '', row]));
}

export function listWorkers(db: Db, page: PageRequest) {
  return newestFirst(db.selectFrom('workers').selectAll(), page).execute();
}

/** A new worker is offline until it registers; of a known one only token and name change. */
export function upsertEnrolled(db: Db, workerId: string, name: string, tokenHash: string) {
  return db
    .insertInto('workers')
    .values({ id: workerId, name, pool: 'default', token_hash: tokenHash, status: 'offline' })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ name, token_hash: tokenHash }))
    .execute();
}

/** A worker that an operator is draining stays so, whatever it starts. */
export function updateRegistered(db: Db, request: RegisterRequest) {
  const { worker_id, capabilities, ...columns } = request;
  return db
    .updateTable('workers')
    .set({
      ...columns,
      capabilities: JSON.stringify(capabilities),
      slots_in_use: 0,
      status: sql<'active'>`case status when 'draining' then 'draining' else 'active' end`,
      registered_at: sql<Date>`now()`,
      last_seen_at: sql<Date>`now()`,
    })
    .where('id', '=', worker_id)
    .returningAll()
    .executeTakeFirst();
}

export function setDraining(db: Db, workerId: string) {
  return db
    .updateTable('workers')
    .set({ status: 'draining' })
    .where('id', '=', workerId)
    .returningAll()
    .executeTakeFirst();
}

/** It is active again at once, or offline until it is heard of. */
export function endDraining(db: Db, workerId: string, silentMs: number) {
  const isHeard = sql`last_seen_at > now() - make_interval(secs => ${silentMs / 1000})`;
  return db
    .updateTable('workers')
    .set({
      status: sql<'active'>`case when status <> 'draining' then status when ${isHeard} then 'active' else 'offline' end`,
    })
    .where('id', '=', workerId)
    .returningAll()
    .executeTakeFirst();
}

/** Milliseconds since the worker was last heard of, by the database's clock; undefined for an unknown or silent-ever one. */
export async function silentForMs(db: Db, workerId: string): Promise<number | undefined> {
  const row = await db
    .selectFrom('workers')
    .select(sql<number | null>`(extract(epoch from now() - last_seen_at) * 1000)::float8`.as('silent_ms'))
    .where('id', '=', workerId)
    .executeTakeFirst();
  return row?.silent_ms ?? undefined;
}
