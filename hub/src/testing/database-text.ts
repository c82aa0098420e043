import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/schema.ts';

/** All rows of all tables as text, to look for what must not be there. Throws when there are fewer tables than there must be. */
export async function databaseText(db: Kysely<Database>): Promise<string> {
  const { rows: tables } = await sql<{ name: string }>`select table_name as name from information_schema.tables
    where table_schema = 'public'`.execute(db);
  if (tables.length <= 15) throw new Error(`only ${tables.length} tables were looked at`);
  const texts = await Promise.all(
    tables.map(({ name }) =>
      sql<{ line: string }>`select to_jsonb(${sql.table(name)})::text as line from ${sql.table(name)}`.execute(db),
    ),
  );
  return texts.flatMap(({ rows }) => rows.map((row) => row.line)).join('\n');
}
