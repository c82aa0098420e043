import { type Kysely, type RawBuilder, sql } from 'kysely';
import { nextFires } from '../scheduling/next-fires.ts';
import { schedule, type TimedSchedule } from '../scheduling/schedule.schema.ts';

export interface PlatformSize {
  readonly tenants: number;
  readonly jobs: number;
  readonly finishedRuns: number;
  /** One in so many finished runs is the largest tenant's. */
  readonly largestHasOneIn: number;
  readonly queuedRuns: number;
  readonly workers: number;
  readonly slotsPerWorker: number;
}

/** This tenant has a part of all finished runs beside its own; the others have the same number each. */
export const largestTenant = 'tenant-00001';

/**
 * Fills an empty, migrated database with what a large platform holds after years: the schedules of all jobs spread over a
 * day, a long history, and a backlog that waits for a fleet whose places are all taken.
 */
export async function fillLargePlatform<DB>(db: Kysely<DB>, size: PlatformSize): Promise<void> {
  const perTenant = size.jobs / size.tenants;
  const tenantOf = (number: string) => sql.raw(`'tenant-' || lpad((${number})::text, 5, '0')`);
  const jobOf = (number: string) => sql.raw(`'job-' || lpad((${number})::text, 7, '0')`);
  const tenantOfJob = (number: string) => tenantOf(`((${number}) - 1) / ${perTenant} + 1`);
  const sourceOfJob = (number: string) => sql`'source-' || ${tenantOfJob(number)}`;
  const destinationOfJob = (number: string) => sql`'destination-' || ${tenantOfJob(number)}`;
  const specOfJob = (number: string) => specOf(jobOf(number), sourceOfJob(number), destinationOfJob(number));

  await sql`insert into tenants (id, name, recipient, local_paths) select ${tenantOf('n')}, 'Tenant ' || n, 'age1bench',
      '["/srv"]'
    from generate_series(1, ${sql.lit(size.tenants)}) n`.execute(db);
  await sql`insert into sources (id, tenant_id, name, type, config)
    select 'source-' || id, id, 'source', 'local', '{"path": "/srv/data"}' from tenants`.execute(db);
  await sql`insert into destinations (id, tenant_id, name, type, config)
    select 'destination-' || id, id, 'destination', 'local_fs', '{}' from tenants`.execute(db);
  await fillJobs(db, size);
  // Ids in the order of time, all before those that are made today.
  await sql`insert into runs (id, tenant_id, kind, trigger, status, job_id, source_id, destination_id, spec, attempt, epoch,
      worker_id, bytes_transferred, queued_at, dispatched_at, started_at, finished_at)
    select '00000000-' || lpad(to_hex(n), 12, '0'),
      case when n % ${sql.lit(size.largestHasOneIn)} = 0 then ${sql.lit(largestTenant)} else ${tenantOfJob(jobNumber(size))} end,
      'backup', 'schedule', (array['success', 'success', 'success', 'warning', 'failed'])[n % 5 + 1],
      ${jobOf(jobNumber(size))}, ${sourceOfJob(jobNumber(size))}, ${destinationOfJob(jobNumber(size))},
      ${specOfJob(jobNumber(size))}, 1, 1, 'worker-001', n, t.at, t.at, t.at, t.at + interval '90 seconds'
    from generate_series(1, ${sql.lit(size.finishedRuns)}) n,
      lateral (select now() - (${sql.lit(size.finishedRuns)} - n) * interval '10 seconds' as at) t`.execute(db);
  await sql`insert into schedule_fires (job_id, scheduled_for, run_id, outcome, fired_at)
    select job_id, queued_at, id, 'run', queued_at from runs where id > ${runIdOf(size.finishedRuns * 0.7)}`.execute(
    db,
  );
  await fillFleet(db, size);
  await sql`insert into runs (id, tenant_id, kind, trigger, job_id, source_id, destination_id, spec, queued_at)
    select '00000001-' || lpad(to_hex(n), 12, '0'), ${tenantOfJob(backlogJob)}, 'backup', 'schedule', ${jobOf(backlogJob)},
      ${sourceOfJob(backlogJob)}, ${destinationOfJob(backlogJob)}, ${specOfJob(backlogJob)}, now()
    from generate_series(1, ${sql.lit(size.queuedRuns)}) n`.execute(db);
}

const jitterSeconds = 600;

/** Daily jobs at every minute of the day, due when the Hub's own reckoning says. */
async function fillJobs<DB>(db: Kysely<DB>, size: PlatformSize): Promise<void> {
  const now = new Date();
  const chunk = 5_000;
  for (let first = 1; first <= size.jobs; first += chunk) {
    const jobs = Array.from({ length: Math.min(chunk, size.jobs - first + 1) }, (_, index) => {
      const number = first + index;
      const id = `job-${String(number).padStart(7, '0')}`;
      const tenant = `tenant-${String(Math.floor(((number - 1) * size.tenants) / size.jobs) + 1).padStart(5, '0')}`;
      const timetable = dailySchedule(number);
      return { id, tenant, schedule: timetable, next: nextAfter(timetable, now, id) };
    });
    await sql`insert into jobs (id, tenant_id, name, source_id, destination_id, engine, options, schedule, next_run_at)
      select id, tenant, id, 'source-' || tenant, 'destination-' || tenant, 'archive',
        '{"compression_level": 3, "one_file_system": false}', schedule, next
      from jsonb_to_recordset(${JSON.stringify(jobs)}::jsonb) as job(id text, tenant text, schedule jsonb, next timestamptz)
    `.execute(db);
  }
}

/** Fires come late by their jitter: one of the last minutes may still be to come. */
function nextAfter(timetable: TimedSchedule, now: Date, jobId: string): Date | undefined {
  const earlier = new Date(now.getTime() - 2 * jitterSeconds * 1000);
  return nextFires(timetable, earlier, 3, jobId).find((fire) => fire.fireAt > now)?.fireAt;
}

function dailySchedule(number: number): TimedSchedule {
  const minute = number % 1440;
  const time = [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, '0')).join(':');
  const parsed = schedule.parse({ type: 'daily', time, timezone: 'UTC', jitter_seconds: jitterSeconds });
  if (parsed.type === 'manual') throw new Error('a daily schedule is not manual');
  return parsed;
}

/** Workers with all their places taken by runs of tenants of their own. */
async function fillFleet<DB>(db: Kysely<DB>, { workers, slotsPerWorker, tenants }: PlatformSize): Promise<void> {
  await sql`insert into workers (id, name, pool, capabilities, slots, status, registered_at, last_seen_at,
      disk_free_bytes, disk_total_bytes)
    select 'worker-' || lpad(n::text, 3, '0'), 'worker', 'default',
      '["backup", "restore", "validation", "probe", "retention", "vault"]', ${sql.lit(slotsPerWorker)}, 'active', now(),
      now() + interval '1 day', 1e12, 2e12
    from generate_series(1, ${sql.lit(workers)}) n`.execute(db);
  const places = Math.ceil(slotsPerWorker * 1.5) * workers;
  await sql`insert into runs (id, tenant_id, kind, trigger, status, source_id, spec, attempt, epoch, worker_id,
      dispatched_at, started_at, lease_expires_at)
    select '00000002-' || lpad(to_hex(n), 12, '0'), tenant.id, 'backup', 'schedule', 'running', 'source-' || tenant.id,
      ${specOf(...noJob)}, 1, 1, 'worker-' || lpad((n % ${sql.lit(workers)} + 1)::text, 3, '0'), now(), now(), now() + interval '1 day'
    from generate_series(1, ${sql.lit(places)}) n
    join lateral (select 'tenant-' || lpad((${sql.lit(tenants)} - n)::text, 5, '0') as id) tenant on true`.execute(db);
}

function runIdOf(number: number): string {
  return `00000000-${Math.floor(number).toString(16).padStart(12, '0')}`;
}

/** The history goes round all jobs. */
function jobNumber({ jobs }: PlatformSize): string {
  return `n % ${jobs} + 1`;
}
/** The backlog is every twentieth job's: so some tenants wait with many runs, and most with none. */
const backlogJob = '(n - 1) * 4 + 1';

/** As large as a real one. */
function specOf(job: RawBuilder<unknown>, source: RawBuilder<unknown>, destination: RawBuilder<unknown>) {
  return sql`jsonb_build_object('kind', 'backup', 'job_id', ${job}, 'source_id', ${source}, 'source',
    '{"type": "local", "config": {"path": "/srv/data"}}'::jsonb, 'destination_id', ${destination},
    'destination', '{"type": "local_fs", "config": {}}'::jsonb, 'engine', 'archive',
    'options', '{"compression_level": 3, "one_file_system": false}'::jsonb, 'recipients', '["age1bench"]'::jsonb)`;
}
const noJob = [sql.lit('job'), sql.lit('source'), sql.lit('destination')] as const;
