import { type Kysely, sql } from 'kysely';

const statements = [
  // What dry runs listed is looked for again and again, and must not be looked for among all runs there ever were.
  `create index runs_changes on runs (finished_at) where kind = 'restore' and result -> 'changes' <> '[]'::jsonb`,
  // Lists of a source's snapshots, and of the few that are not as they should be: none reads all that a tenant has.
  `create index snapshots_source_list on snapshots (source_id, id desc)`,
  `create index snapshots_status_list on snapshots (tenant_id, status, id desc) where status <> 'committed'`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
