import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { Database, FireOutcome, JobsTable, ScheduleFiresTable } from '../db/schema.ts';
import type { Fire } from './next-fires.ts';

type Db = Kysely<Database>;
type Trx = Transaction<Database>;
export type DueJob = Selectable<JobsTable> & { readonly next_run_at: Date };

/** The database's clock, so that all Hubs agree on what is due. */
export async function databaseNow(db: Db): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select now()`.execute(db);
  const now = rows[0]?.now;
  if (now === undefined) throw new Error('the database gave no time');
  return now;
}

/** Locks active jobs that are due, longest overdue first; passes over those that another Hub has locked. */
export function lockDueJobs(trx: Trx, now: Date, limit: number): Promise<DueJob[]> {
  return dueJobs(trx, now, limit).execute();
}

export function dueJobs(trx: Trx, now: Date, limit: number) {
  return trx
    .selectFrom('jobs')
    .selectAll()
    .$narrowType<{ next_run_at: Date }>()
    .where('status', '=', sql.lit('active'))
    .where('next_run_at', '<=', now)
    .orderBy('next_run_at')
    .limit(limit)
    .forUpdate()
    .skipLocked();
}

export async function activeTenants(db: Db, tenantIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (tenantIds.length === 0) return new Set();
  const rows = await db
    .selectFrom('tenants')
    .select('id')
    .where('id', 'in', tenantIds)
    .where('status', '=', 'active')
    .execute();
  return new Set(rows.map((row) => row.id));
}

export async function setNextRun(db: Db, jobId: string, nextRunAt: Date | null): Promise<void> {
  await db.updateTable('jobs').set({ next_run_at: nextRunAt }).where('id', '=', jobId).execute();
}

/** Writes down fires; gives how many of them were not there before. */
export async function insertFires(
  db: Db,
  jobId: string,
  fires: readonly Fire[],
  outcome: FireOutcome,
  startDeadlineAt: Date | null = null,
): Promise<number> {
  if (fires.length === 0) return 0;
  const rows = await db
    .insertInto('schedule_fires')
    .values(
      fires.map(({ scheduledFor }) => ({
        job_id: jobId,
        scheduled_for: scheduledFor,
        run_id: null,
        outcome,
        start_deadline_at: startDeadlineAt,
        alarmed_at: null,
      })),
    )
    .onConflict((conflict) => conflict.columns(['job_id', 'scheduled_for']).doNothing())
    .returning('scheduled_for')
    .execute();
  return rows.length;
}

export async function setRunOfFire(db: Db, jobId: string, scheduledFor: Date, runId: string): Promise<void> {
  await db
    .updateTable('schedule_fires')
    .set({ run_id: runId })
    .where('job_id', '=', jobId)
    .where('scheduled_for', '=', scheduledFor)
    .execute();
}

/** Statuses of the job's backups that have not ended. */
export async function openBackups(db: Db, jobId: string): Promise<string[]> {
  // The words stand in the statement so that the planner knows the partial index to fit.
  const { rows } = await openBackupsOf(jobId).execute(db);
  return rows.map((row) => row.status);
}

export function openBackupsOf(jobId: string) {
  return sql<{ status: string }>`
    select status from runs
    where job_id = ${jobId} and kind = 'backup' and status in ('queued', 'dispatched', 'running')`;
}

/** The same of many jobs, by job. */
export async function openBackupsOfJobs(db: Db, jobIds: readonly string[]): Promise<Map<string, string[]>> {
  const { rows } = await sql<{ job_id: string; statuses: string[] }>`
    select job_id, array_agg(status) as statuses from runs
    where job_id = any(${jobIds}::text[]) and kind = 'backup' and status in ('queued', 'dispatched', 'running')
    group by job_id
  `.execute(db);
  return new Map(rows.map((row) => [row.job_id, row.statuses]));
}

export interface NewFire {
  readonly jobId: string;
  readonly fire: Fire;
  readonly outcome: FireOutcome;
  readonly startDeadlineAt: Date | null;
}

/** Writes down fires of many jobs; gives those that were not there before, as `<job id> <milliseconds of scheduled_for>`. */
export async function insertFireRows(db: Db, fires: readonly NewFire[]): Promise<Set<string>> {
  if (fires.length === 0) return new Set();
  const rows = fires.map(({ jobId, fire, outcome, startDeadlineAt }) => ({
    job_id: jobId,
    scheduled_for: fire.scheduledFor,
    outcome,
    start_deadline_at: startDeadlineAt,
  }));
  const result = await sql<{ job_id: string; scheduled_for: Date }>`
    insert into schedule_fires (job_id, scheduled_for, outcome, start_deadline_at)
    select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as fire(
      job_id text, scheduled_for timestamptz, outcome text, start_deadline_at timestamptz)
    on conflict (job_id, scheduled_for) do nothing returning job_id, scheduled_for
  `.execute(db);
  return new Set(result.rows.map((row) => `${row.job_id} ${row.scheduled_for.getTime()}`));
}

export async function setRunsOfFires(
  db: Db,
  made: readonly { readonly jobId: string; readonly fire: Fire; readonly runId: string | null }[],
): Promise<void> {
  if (made.length === 0) return;
  const rows = made.map(({ jobId, fire, runId }) => ({ job: jobId, at: fire.scheduledFor, run: runId }));
  await sql`
    update schedule_fires set run_id = made.run
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as made(job text, at timestamptz, run text)
    where job_id = made.job and scheduled_for = made.at
  `.execute(db);
}

export async function setNextRuns(
  db: Db,
  nexts: readonly { readonly jobId: string; readonly next: Date | null }[],
): Promise<void> {
  if (nexts.length === 0) return;
  await sql`
    update jobs set next_run_at = following.next
    from jsonb_to_recordset(${JSON.stringify(nexts)}::jsonb) as following("jobId" text, next timestamptz)
    where jobs.id = following."jobId"
  `.execute(db);
}

export type FireRow = Selectable<ScheduleFiresTable>;

/** Locks fires whose deadline has passed and was not looked at yet. */
export function lockOverdueFires(trx: Trx, now: Date, limit: number): Promise<FireRow[]> {
  return overdueFires(trx, now, limit).execute();
}

export function overdueFires(trx: Trx, now: Date, limit: number) {
  return trx
    .selectFrom('schedule_fires')
    .selectAll()
    .where('start_deadline_at', '<=', now)
    .where('alarmed_at', 'is', null)
    .orderBy('start_deadline_at')
    .limit(limit)
    .forUpdate()
    .skipLocked();
}

/** Ends the watch over a fire: the deadline was met, or the alarm is raised. */
export async function settleFire(db: Db, fire: FireRow, alarmedAt: Date | null): Promise<void> {
  await db
    .updateTable('schedule_fires')
    .set(alarmedAt === null ? { start_deadline_at: null } : { alarmed_at: alarmedAt })
    .where('job_id', '=', fire.job_id)
    .where('scheduled_for', '=', fire.scheduled_for)
    .execute();
}

/** Removes what is older; rows under watch stay. Gives how many. */
export async function deleteOldFires(db: Db, before: Date, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from schedule_fires where (job_id, scheduled_for) in (
      select job_id, scheduled_for from schedule_fires
      where scheduled_for < ${before} and (start_deadline_at is null or alarmed_at is not null)
      order by scheduled_for limit ${limit})
  `.execute(db);
  return Number(numAffectedRows ?? 0);
}
