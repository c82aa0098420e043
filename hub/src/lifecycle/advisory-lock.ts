import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';

/** Work that one Hub does at a time; the numbers are part of the agreement between Hubs and never change. */
const lockKeys = { admission: 7_201_001 } as const;

/** Does the work in a transaction, unless another Hub is at it: then undefined at once. */
export async function withAdvisoryLock<T>(
  db: Kysely<Database>,
  name: keyof typeof lockKeys,
  work: (trx: Transaction<Database>) => Promise<T>,
): Promise<T | undefined> {
  return db.transaction().execute(async (trx) => {
    const { rows } = await sql<{
      taken: boolean;
    }>`select pg_try_advisory_xact_lock(${lockKeys[name]}) as taken`.execute(trx);
    return rows[0]?.taken === true ? work(trx) : undefined;
  });
}
