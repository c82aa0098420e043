import { type Kysely, sql } from 'kysely';

const statements = [
  // Whether a job has a run that has not ended is asked at each fire, whatever the job's history holds.
  `create index runs_job_live on runs (job_id, id) where status in ('queued', 'dispatched', 'running')`,
  `alter table schedule_fires
    add column fired_at timestamptz not null default now(),
    add column start_deadline_at timestamptz,
    add column alarmed_at timestamptz`,
  `create index schedule_fires_deadline on schedule_fires (start_deadline_at)
    where start_deadline_at is not null and alarmed_at is null`,
  `create index schedule_fires_age on schedule_fires (scheduled_for)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
