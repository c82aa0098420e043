import { type Kysely, sql } from 'kysely';

const statements = [
  // A source that is tried before it is saved has its secret with the run, and loses it with the run's end.
  `alter table run_secrets
    alter column identity_sealed drop not null,
    add column source_secret_sealed text,
    add constraint run_secrets_one check (num_nonnulls(identity_sealed, source_secret_sealed) = 1)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
