import { type Kysely, sql } from 'kysely';

const statements = [
  `alter table runs add column writes_disk boolean not null default false`,
  // Of those that are still to be placed: what its kind and destination say.
  `update runs set writes_disk = true
    where status in ('queued', 'dispatched', 'running')
      and (kind = 'backup' and coalesce(spec->'destination'->>'type', 'local_fs') = 'local_fs'
        or kind = 'maintenance' and coalesce(spec->'task'->'snapshot'->'destination'->>'type', 'local_fs') = 'local_fs')`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
