import { asXVaultError } from '@xvault/shared/errors.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import { fireJob, passOver, recordFailure } from './fire-job.ts';
import { fireMany } from './fire-many.ts';
import { activeTenants, type DueJob, databaseNow, lockDueJobs } from './fires.repository.ts';

/** Rows locked in one transaction. */
const jobsPerBatch = 100;
const batchesPerPass = 10;

export interface SchedulerPass {
  /** Jobs that were due; one that missed very many fires counts several times. */
  readonly jobs: number;
  /** Runs made for them. */
  readonly runs: number;
  /** Whether more may be due. */
  readonly more: boolean;
}

/**
 * Fires the jobs that are due at `now`, by default the database's time. Any number of Hubs may do it at once: a job is locked while it
 * fires, and a fire that is written down never happens again.
 */
export async function runSchedulerPass(db: Kysely<Database>, logger: Logger, now?: Date): Promise<SchedulerPass> {
  const at = now ?? (await databaseNow(db));
  let jobs = 0;
  let runs = 0;
  for (let batch = 0; batch < batchesPerPass; batch += 1) {
    const done = await db.transaction().execute((trx) => fireBatch(trx, at, logger));
    jobs += done.jobs;
    runs += done.runs;
    if (done.jobs === 0) return { jobs, runs, more: false };
  }
  return { jobs, runs, more: true };
}

async function fireBatch(trx: Transaction<Database>, now: Date, logger: Logger) {
  const jobs = await lockDueJobs(trx, now, jobsPerBatch);
  if (jobs.length === 0) return { jobs: 0, runs: 0 };
  const active = await activeTenants(trx, [...new Set(jobs.map((job) => job.tenant_id))]);
  const together = await fireTogether(trx, jobs, active, now, logger);
  if (together !== null) return { jobs: jobs.length, runs: together };
  let runs = 0;
  for (const job of jobs) {
    if ((await fireAlone(trx, job, active.has(job.tenant_id), now, logger)) !== null) runs += 1;
  }
  return { jobs: jobs.length, runs };
}

/** Null, and nothing done, when one of them cannot be fired. */
async function fireTogether(
  trx: Transaction<Database>,
  jobs: readonly DueJob[],
  active: ReadonlySet<string>,
  now: Date,
  logger: Logger,
): Promise<number | null> {
  await sql`savepoint jobs`.execute(trx);
  try {
    const runs = await fireMany(
      trx,
      jobs.filter((job) => active.has(job.tenant_id)),
      now,
    );
    for (const job of jobs) if (!active.has(job.tenant_id)) await passOver(trx, job, now);
    await sql`release savepoint jobs`.execute(trx);
    return runs;
  } catch (error) {
    await sql`rollback to savepoint jobs`.execute(trx);
    logger.debug({ err: error, jobs: jobs.length }, 'scheduled jobs are fired one by one');
    return null;
  }
}

/** What one job does wrong is undone and written down, and hinders no other job. */
async function fireAlone(trx: Transaction<Database>, job: DueJob, isActive: boolean, now: Date, logger: Logger) {
  await sql`savepoint job`.execute(trx);
  try {
    const runId = isActive ? await fireJob(trx, job, now) : await passOver(trx, job, now).then(() => null);
    await sql`release savepoint job`.execute(trx);
    return runId;
  } catch (error) {
    // Also fails, and with it the batch, when the database is what failed: then nothing has happened.
    await sql`rollback to savepoint job`.execute(trx);
    logger.error({ err: error, jobId: job.id }, 'a scheduled job could not be fired');
    await recordFailure(trx, job, now, asXVaultError(error).code);
    return null;
  }
}
