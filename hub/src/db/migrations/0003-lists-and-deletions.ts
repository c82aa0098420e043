import { type Kysely, sql } from 'kysely';

const statements = [
  // Lists of runs, newest first, by whatever they are filtered: none reads the history of a tenant to find a few.
  `create index runs_kind on runs (tenant_id, kind, id desc)`,
  `create index runs_source on runs (source_id, id desc)`,
  // Not for successes: they are found among a tenant's newest without it, and every run would have to write it.
  `create index runs_ended on runs (tenant_id, status, id desc) where status in ('warning', 'failed', 'cancelled')`,
  `create index runs_ended_badly on runs (tenant_id, kind, status, id desc)
    where status in ('warning', 'failed', 'cancelled')`,
  // Deletions that have to be tried again, and how often they were.
  `create index snapshots_deleting on snapshots (id) where status = 'deleting'`,
  `create index runs_retention on runs (snapshot_id, id desc) where kind = 'retention'`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
