import { type Kysely, sql } from 'kysely';

const statements = [
  `alter table jobs
    add column sync jsonb,
    add column secret_sealed text`,
  `alter table runs add column diagnostics jsonb`,
  `create table connections (
    id text primary key,
    tenant_id text not null references tenants (id),
    provider text not null,
    name text not null,
    status text not null default 'active',
    token_sealed text,
    generation integer not null default 1,
    access_expires_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now())`,
  `create index connections_tenant on connections (tenant_id, id)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
