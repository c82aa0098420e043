import { type Kysely, sql } from 'kysely';

const statements = [
  `alter table snapshots
    add column manifest_bytes bigint,
    add column manifest_sha256 text,
    add column validation_level text,
    add column validation_excerpt text`,
  `alter table jobs add column validation_level text not null default 'full'`,
  // An export of a snapshot that every worker can reach is not one worker's.
  `alter table exports alter column worker_id drop not null`,
  `alter table exports add column s3 jsonb`,
  // What a customer gave for one run alone; gone when the run has ended.
  `create table run_secrets (
    run_id text primary key references runs (id) on delete cascade,
    identity_sealed text not null,
    created_at timestamptz not null default now())`,
  // Every key that snapshots of the tenant may be encrypted to, the present one among them.
  `create table tenant_keys (
    tenant_id text not null references tenants (id),
    recipient text not null,
    identity_sealed text,
    created_at timestamptz not null default now(),
    retired_at timestamptz,
    primary key (tenant_id, recipient))`,
  `insert into tenant_keys (tenant_id, recipient, identity_sealed, created_at)
    select id, recipient, identity_sealed, created_at from tenants`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
