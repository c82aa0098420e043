import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import type { Choice } from './choose-runs.ts';

const key = 'admission.clock';

export interface Clock {
  /** The virtual time that admission has come to. */
  readonly vtime: number;
  /** Whether a data run is queued at all, so that nobody's turn need be reckoned when none is. */
  readonly hasBacklog: boolean;
}

export async function readClock(db: Kysely<Database>): Promise<Clock> {
  const { rows } = await sql<Clock>`
    select coalesce((select (value->>'vtime')::float8 from settings where key = ${key}), 0) as vtime,
      exists (select from runs where status = 'queued' and slot = 'data') as "hasBacklog"
  `.execute(db);
  return rows[0] ?? { vtime: 0, hasBacklog: true };
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
