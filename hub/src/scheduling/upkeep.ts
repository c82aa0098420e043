import type { Logger } from '@xvault/shared/logging.ts';
import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/schema.ts';
import { databaseNow, deleteOldFires } from './fires.repository.ts';
import { nextFire } from './next-fires.ts';
import { scheduleOf } from './schedule-of.ts';

const jobsPerStep = 200;
const firesPerStep = 1000;
/** How long it is known what became of a fire. */
const firesKeptMs = 90 * 86_400_000;

/** Now and then: puts right jobs whose next run is missing or too late, and forgets old fires. */
export async function keepSchedules(
  db: Kysely<Database>,
  logger: Logger,
  signal: AbortSignal,
  now?: Date,
): Promise<void> {
  const at = now ?? (await databaseNow(db));
  await repairNextRuns(db, logger, signal, at);
  while (!signal.aborted) {
    const deleted = await deleteOldFires(db, new Date(at.getTime() - firesKeptMs), firesPerStep);
    if (deleted < firesPerStep) return;
  }
}

/** A clock that was ahead for a while, or new rules of a time zone, may have left a job to sleep until long after its next time. */
async function repairNextRuns(db: Kysely<Database>, logger: Logger, signal: AbortSignal, now: Date): Promise<void> {
  let afterId = '';
  while (!signal.aborted) {
    const jobs = await db
      .selectFrom('jobs')
      .select(['id', 'schedule', 'next_run_at'])
      .where('id', '>', afterId)
      .where('status', '=', 'active')
      .where('schedule', 'is not', null)
      .orderBy('id')
      .limit(jobsPerStep)
      .execute();
    for (const job of jobs) {
      afterId = job.id;
      try {
        const next = nextFire(scheduleOf(job), now, job.id)?.fireAt;
        if (next === undefined || (job.next_run_at !== null && job.next_run_at <= next)) continue;
        await moveForward(db, job, next);
        logger.warn({ jobId: job.id, from: job.next_run_at, to: next }, 'the next run of a job was put right');
      } catch (error) {
        logger.error({ err: error, jobId: job.id }, 'the schedule of a job cannot be read');
      }
    }
    if (jobs.length < jobsPerStep) return;
  }
}

/** Only if nobody has changed the job meanwhile. */
async function moveForward(
  db: Kysely<Database>,
  job: { readonly id: string; readonly next_run_at: Date | null; readonly schedule: Record<string, unknown> | null },
  next: Date,
): Promise<void> {
  await db
    .updateTable('jobs')
    .set({ next_run_at: next })
    .where('id', '=', job.id)
    .where('status', '=', 'active')
    .where(sql<boolean>`next_run_at is not distinct from ${job.next_run_at}`)
    .where(sql<boolean>`schedule = ${JSON.stringify(job.schedule)}::jsonb`)
    .execute();
}
