import type { Transaction } from 'kysely';
import { type AuditEntry, writeAudit } from '../audit/audit.ts';
import type { Database } from '../db/schema.ts';
import { createBackup } from '../jobs/run-job.ts';
import { type DueFires, dueFires, judgeFires } from './due-fires.ts';
import { type DueJob, insertFires, openBackups, setNextRun, setRunOfFire } from './fires.repository.ts';
import { type Fire, nextFire } from './next-fires.ts';
import { type Schedule, schedule as scheduleSchema, type TimedSchedule } from './schedule.schema.ts';
import { scheduleOf } from './schedule-of.ts';

type Trx = Transaction<Database>;
const platform = { userId: null, address: null };

/** Fires written down in one statement; a job that was due more often takes several rounds. */
const firesPerRound = 500;

/** Does what is due of a job whose row is locked, and sets when it is next. Gives the run's id when there is one. */
export async function fireJob(trx: Trx, job: DueJob, now: Date): Promise<string | null> {
  const schedule = scheduleOf(job);
  const fires = dueOf(schedule, job, now);
  if (schedule.type === 'manual' || fires === null) {
    await setNextRun(trx, job.id, null);
    return null;
  }
  const { fire, missed } = judgeFires(fires, schedule.catch_up, now);
  await recordMissed(trx, job, missed);
  const runId = fire === null ? null : await startFire(trx, job, schedule, fire);
  await setNextRun(trx, job.id, fires.following?.fireAt ?? null);
  return runId;
}

async function recordMissed(trx: Trx, job: DueJob, missed: readonly Fire[]): Promise<void> {
  const count = await insertFires(trx, job.id, missed, 'missed');
  if (count === 0) return;
  await writeAudit(trx, platform, firesMissed(job, missed, count));
}

/** The fires of a job that are due; null when it has no times. */
export function dueOf(schedule: Schedule, job: DueJob, now: Date): DueFires | null {
  return schedule.type === 'manual' ? null : dueFires(schedule, job.id, job.next_run_at, now, firesPerRound);
}

/** When a run of the fire must have begun. */
export function startDeadline({ start_deadline_minutes: minutes }: TimedSchedule, fire: Fire): Date | null {
  return minutes === null ? null : new Date(fire.scheduledFor.getTime() + minutes * 60_000);
}

export function firesMissed(job: DueJob, missed: readonly Fire[], count: number): AuditEntry {
  return entry(job, 'job.fires_missed', {
    count,
    first: missed[0]?.scheduledFor,
    last: missed.at(-1)?.scheduledFor,
  });
}

export function fireSkipped(job: DueJob, fire: Fire): AuditEntry {
  return entry(job, 'job.fire_skipped', { scheduled_for: fire.scheduledFor });
}

async function startFire(trx: Trx, job: DueJob, schedule: TimedSchedule, fire: Fire): Promise<string | null> {
  const open = await openBackups(trx, job.id);
  // One run may wait for the one before it; a second would only do the same again.
  if (schedule.overlap === 'skip' ? open.length > 0 : open.includes('queued')) {
    const count = await insertFires(trx, job.id, [fire], 'overlap_skipped');
    if (count > 0) await writeAudit(trx, platform, fireSkipped(job, fire));
    return null;
  }
  const deadline = startDeadline(schedule, fire);
  // Without a new row the fire has happened: the clock was set back.
  if ((await insertFires(trx, job.id, [fire], 'run', deadline)) === 0) return null;
  const run = await createBackup(trx, job, 'schedule');
  await setRunOfFire(trx, job.id, fire.scheduledFor, run.id);
  return run.id;
}

/** After {@link fireJob} threw and was undone: writes down that the due fires made no run, and goes on to the next. */
export async function recordFailure(trx: Trx, job: DueJob, now: Date, code: string): Promise<void> {
  const fires = tryDueFires(job, now);
  await insertFires(trx, job.id, fires.due, 'failed');
  await setNextRun(trx, job.id, fires.following?.fireAt ?? null);
  const details = { error_code: code, scheduled_for: fires.due.at(-1)?.scheduledFor };
  await writeAudit(trx, platform, entry(job, 'job.fire_failed', details));
}

function tryDueFires(job: DueJob, now: Date): DueFires {
  const parsed = scheduleSchema.safeParse(job.schedule);
  const due = [{ scheduledFor: job.next_run_at, fireAt: job.next_run_at }];
  if (!parsed.success) return { due, complete: true, following: null };
  return dueFires(parsed.data, job.id, job.next_run_at, now, firesPerRound);
}

/** For a job that may not fire now: passes over what is due without a word. */
export async function passOver(trx: Trx, job: DueJob, now: Date): Promise<void> {
  await setNextRun(trx, job.id, nextFire(scheduleOf(job), now, job.id)?.fireAt ?? null);
}

function entry(job: DueJob, action: string, details: Record<string, unknown>): AuditEntry {
  return { tenantId: job.tenant_id, action, objectType: 'job', objectId: job.id, details };
}
