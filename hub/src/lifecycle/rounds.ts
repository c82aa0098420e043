import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/schema.ts';

/**
 * True for one Hub in each interval: the first to ask. What a round does is safe to do twice, so this only saves work; it
 * needs no lock that would have to be held while Redis is asked.
 */
export async function claimRound(db: Kysely<Database>, name: string, intervalMs: number): Promise<boolean> {
  // A little less than the interval, so that a lone Hub never skips a round because its timer was early.
  const ageSeconds = (intervalMs * 0.8) / 1000;
  const { rows } = await sql<{ key: string }>`
    insert into settings (key, value)
    values (${`round.${name}`}, jsonb_build_object('at', extract(epoch from clock_timestamp())))
    on conflict (key) do update set value = excluded.value
    where (settings.value->>'at')::float8 <= extract(epoch from clock_timestamp()) - ${ageSeconds}
    returning key
  `.execute(db);
  return rows.length === 1;
}
