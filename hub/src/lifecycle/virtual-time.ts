import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import type { Choice } from './choose-runs.ts';

const key = 'admission.clock';

/** The virtual time that admission has come to. */
export async function readClock(db: Kysely<Database>): Promise<number> {
  const row = await db.selectFrom('settings').select('value').where('key', '=', key).executeTakeFirst();
  return Number(row?.value.vtime ?? 0);
}

export async function saveVtimes(trx: Transaction<Database>, { vtimes, clock }: Choice): Promise<void> {
  if (vtimes.size === 0) return;
  const rows = [...vtimes].map(([id, vtime]) => ({ id, vtime }));
  await sql`
    update tenants set vtime = moved.vtime
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as moved(id text, vtime float8)
    where tenants.id = moved.id
  `.execute(trx);
  await sql`
    insert into settings (key, value) values (${key}, jsonb_build_object('vtime', ${clock}::float8))
    on conflict (key) do update set value = excluded.value
  `.execute(trx);
}
