import { newId } from '@xvault/shared/ids.ts';
import type { Kysely } from 'kysely';
import type { Database } from '../db/schema.ts';
import { completeSchedule, scheduleInput } from '../scheduling/schedule.schema.ts';
import { type Seed, seedTenant } from './run-fixtures.ts';

/** A tenant with a job of this schedule that is due at the given time, written straight into the database. */
export async function scheduledJob(
  db: Kysely<Database>,
  input: Record<string, unknown>,
  nextRunAt: string | null,
): Promise<Seed> {
  const seed = await seedTenant(db);
  const schedule = completeSchedule(scheduleInput.parse(input), 'UTC');
  await db
    .updateTable('jobs')
    .set({ schedule: JSON.stringify(schedule), next_run_at: nextRunAt })
    .where('id', '=', seed.jobId)
    .execute();
  return seed;
}

/** A further job of the same tenant, with the same schedule and time. */
export async function anotherJob(db: Kysely<Database>, seed: Seed): Promise<string> {
  const id = newId();
  const row = await db.selectFrom('jobs').selectAll().where('id', '=', seed.jobId).executeTakeFirstOrThrow();
  const { created_at: _, ...job } = row;
  await db
    .insertInto('jobs')
    .values({
      ...job,
      id,
      options: JSON.stringify(job.options),
      schedule: JSON.stringify(job.schedule),
      sync: null,
      retention: null,
      notify: null,
    })
    .execute();
  return id;
}

/** What became of a job's schedule: its fires as `<time> <outcome>`, its runs, and when it is next. */
export async function storyOf(db: Kysely<Database>, jobId: string) {
  const fires = await db
    .selectFrom('schedule_fires')
    .selectAll()
    .where('job_id', '=', jobId)
    .orderBy('scheduled_for')
    .execute();
  const runs = await db.selectFrom('runs').selectAll().where('job_id', '=', jobId).orderBy('id').execute();
  const { next_run_at: next } = await db
    .selectFrom('jobs')
    .select('next_run_at')
    .where('id', '=', jobId)
    .executeTakeFirstOrThrow();
  return {
    fires: fires.map((fire) => `${minute(fire.scheduled_for)} ${fire.outcome}`),
    runs,
    next: next === null ? null : minute(next),
  };
}

function minute(at: Date): string {
  return at.toISOString().replace(':00.000Z', 'Z');
}
