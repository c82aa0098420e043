import { type Kysely, sql, type Transaction } from 'kysely';
import { z } from 'zod';
import type { Database, RunRow } from '../db/schema.ts';

/** The header of requests that make a run; other headers are none of its business. */
export const idempotencyHeaders = z.looseObject({
  /** The same key within a day answers with the run made at first. */
  'idempotency-key': z.string().min(1).max(255).optional(),
});

const keptHours = 24;

interface Request {
  readonly tenantId: string;
  /** `<what>:<id>`: a key means something only for the same thing asked of the same object. */
  readonly scope: string;
  readonly key: string | undefined;
}

/** Makes the run unless this request has made it before. A second request waits for the first one's transaction. */
export async function once(
  trx: Transaction<Database>,
  { tenantId, scope, key }: Request,
  make: () => Promise<RunRow>,
): Promise<RunRow> {
  if (key === undefined) return make();
  // Two requests at once: the later one waits here and then sees the row.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`idempotency:${tenantId}:${scope}:${key}`}, 0))`.execute(
    trx,
  );
  const made = await findRunOf(trx, tenantId, scope, key);
  if (made !== undefined) return made;
  await prune(trx, tenantId);
  const run = await make();
  await trx
    .insertInto('idempotency_keys')
    .values({ tenant_id: tenantId, scope, key, run_id: run.id })
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'scope', 'key']).doUpdateSet({ run_id: run.id, created_at: sql<Date>`now()` }),
    )
    .execute();
  return run;
}

function findRunOf(db: Kysely<Database>, tenantId: string, scope: string, key: string) {
  return db
    .selectFrom('idempotency_keys')
    .innerJoin('runs', 'runs.id', 'idempotency_keys.run_id')
    .selectAll('runs')
    .where('runs.tenant_id', '=', tenantId)
    .where('idempotency_keys.tenant_id', '=', tenantId)
    .where('idempotency_keys.scope', '=', scope)
    .where('idempotency_keys.key', '=', key)
    .where('idempotency_keys.created_at', '>', sql<Date>`now() - make_interval(hours => ${keptHours})`)
    .executeTakeFirst();
}

/** Removes a few keys that no longer count; those that another transaction is removing are left to it. */
async function prune(trx: Transaction<Database>, tenantId: string): Promise<void> {
  await sql`
    delete from idempotency_keys where ctid = any(array(
      select ctid from idempotency_keys
      where tenant_id = ${tenantId} and created_at < now() - make_interval(hours => ${keptHours})
      limit 100 for update skip locked))
  `.execute(trx);
}
