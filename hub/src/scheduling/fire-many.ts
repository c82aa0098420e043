import type { Transaction } from 'kysely';
import type { AuditEntry } from '../audit/audit.ts';
import { writeAudits } from '../audit/audit.ts';
import type { Database } from '../db/schema.ts';
import { type BackupParts, backupOf } from '../jobs/run-job.ts';
import { createRuns } from '../lifecycle/create-run.ts';
import { judgeFires } from './due-fires.ts';
import { dueOf, fireSkipped, firesMissed, startDeadline } from './fire-job.ts';
import { readParts } from './fire-parts.ts';
import {
  type DueJob,
  insertFireRows,
  type NewFire,
  openBackupsOfJobs,
  setNextRuns,
  setRunsOfFires,
} from './fires.repository.ts';
import type { Fire } from './next-fires.ts';
import { scheduleOf } from './schedule-of.ts';

type Trx = Transaction<Database>;
const platform = { userId: null, address: null };

/** What one job's due fires come to, as far as can be said before anything is written. */
interface Plan {
  readonly job: DueJob;
  readonly missed: readonly Fire[];
  /** The fire that makes a run, or is passed over because of an open one. */
  readonly fire: Fire | null;
  readonly isBlocked: boolean;
  readonly startDeadlineAt: Date | null;
  readonly next: Date | null;
}

/**
 * Does what is due of many locked jobs of active tenants, as {@link fireJob} would do one by one, in a fixed number of statements. Throws
 * when any of them cannot be fired; what it did is then to be undone, and each fired alone. Gives the number of runs.
 */
export async function fireMany(trx: Trx, jobs: readonly DueJob[], now: Date): Promise<number> {
  const open = await openBackupsOfJobs(
    trx,
    jobs.map((job) => job.id),
  );
  const plans = jobs.map((job) => plan(job, open.get(job.id) ?? [], now));
  const written = await insertFireRows(trx, plans.flatMap(toRows));
  const isNew = ({ job }: Plan, fire: Fire) => written.has(`${job.id} ${fire.scheduledFor.getTime()}`);
  const starting = plans.flatMap((one) => {
    // Without a new row the fire has happened: the clock was set back.
    return one.fire !== null && !one.isBlocked && isNew(one, one.fire) ? [{ job: one.job, fire: one.fire }] : [];
  });
  const parts = await readParts(
    trx,
    starting.map(({ job }) => job),
  );
  const runs = await createRuns(
    trx,
    starting.map(({ job }) => backupOf(job, partsOf(parts, job), 'schedule')),
  );
  const runIds = new Map(runs.map((run) => [run.job_id, run.id]));
  await setRunsOfFires(
    trx,
    starting.map(({ job, fire }) => ({ jobId: job.id, fire, runId: runIds.get(job.id) ?? null })),
  );
  await setNextRuns(
    trx,
    plans.map(({ job, next }) => ({ jobId: job.id, next })),
  );
  await writeAudits(
    trx,
    platform,
    plans.flatMap((one) => audits(one, isNew)),
  );
  return runs.length;
}

function plan(job: DueJob, open: readonly string[], now: Date): Plan {
  const schedule = scheduleOf(job);
  const fires = dueOf(schedule, job, now);
  if (schedule.type === 'manual' || fires === null) {
    return { job, missed: [], fire: null, isBlocked: false, startDeadlineAt: null, next: null };
  }
  const { fire, missed } = judgeFires(fires, schedule.catch_up, now);
  const isBlocked = schedule.overlap === 'skip' ? open.length > 0 : open.includes('queued');
  const startDeadlineAt = fire === null || isBlocked ? null : startDeadline(schedule, fire);
  return { job, missed, fire, isBlocked, startDeadlineAt, next: fires.following?.fireAt ?? null };
}

function toRows({ job, missed, fire, isBlocked, startDeadlineAt }: Plan): NewFire[] {
  const rows = missed.map((one): NewFire => ({ jobId: job.id, fire: one, outcome: 'missed', startDeadlineAt: null }));
  if (fire === null) return rows;
  return [...rows, { jobId: job.id, fire, outcome: isBlocked ? 'overlap_skipped' : 'run', startDeadlineAt }];
}

function audits(one: Plan, isNew: (one: Plan, fire: Fire) => boolean): AuditEntry[] {
  const missed = one.missed.filter((fire) => isNew(one, fire));
  const skipped = one.isBlocked && one.fire !== null && isNew(one, one.fire) ? one.fire : null;
  return [
    ...(missed.length === 0 ? [] : [firesMissed(one.job, one.missed, missed.length)]),
    ...(skipped === null ? [] : [fireSkipped(one.job, skipped)]),
  ];
}

function partsOf(parts: ReadonlyMap<string, BackupParts>, job: DueJob): BackupParts {
  const found = parts.get(job.id);
  if (found === undefined) throw new Error(`job ${job.id} has no source or no destination`);
  return found;
}
