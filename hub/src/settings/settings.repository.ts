import type { Kysely, Transaction } from 'kysely';
import { z } from 'zod';
import type { Database } from '../db/schema.ts';

/** Row of what operators may change while the platform runs. */
export const platformKey = 'platform';
const platformValue = z.object({ bandwidth_limit_bps: z.int().nullable() });

/** Undefined while it was never changed: then the configuration holds. */
export async function findPlatformSettings(db: Kysely<Database>): Promise<z.infer<typeof platformValue> | undefined> {
  const row = await db.selectFrom('settings').select('value').where('key', '=', platformKey).executeTakeFirst();
  return row === undefined ? undefined : platformValue.parse(row.value);
}

export async function savePlatformSettings(
  trx: Transaction<Database>,
  value: z.infer<typeof platformValue>,
): Promise<void> {
  const row = { key: platformKey, value: JSON.stringify(value) };
  await trx
    .insertInto('settings')
    .values(row)
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: row.value }))
    .execute();
}
