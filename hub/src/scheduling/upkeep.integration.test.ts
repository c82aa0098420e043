import { type CompiledQuery, type Kysely, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../db/schema.ts';
import { scheduledJob, storyOf } from '../testing/scheduled-job.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { dueJobs, openBackupsOf, overdueFires } from './fires.repository.ts';
import { runSchedulerPass } from './scheduler.ts';
import { keepSchedules } from './upkeep.ts';

const daily = { type: 'daily', time: '02:00' };

describe.each(databaseKinds)('the upkeep of schedules on %s', (database) => {
  let hub: TestHub;
  beforeAll(async () => {
    hub = await startTestHub({ database });
  });
  afterAll(() => hub?.close());
  const keep = (now: string) => keepSchedules(hub.db, hub.deps.logger, new AbortController().signal, new Date(now));

  it('brings back jobs that sleep until long after their next time, and leaves all others alone', async () => {
    const late = await scheduledJob(hub.db, daily, '2099-01-01T02:00Z');
    const never = await scheduledJob(hub.db, daily, null);
    const due = await scheduledJob(hub.db, daily, '2026-05-31T02:00Z');
    const paused = await scheduledJob(hub.db, daily, null);
    const manual = await scheduledJob(hub.db, { type: 'manual' }, null);
    const unreadable = await scheduledJob(hub.db, daily, '2099-01-01T02:00Z');
    await hub.db.updateTable('jobs').set({ status: 'paused' }).where('id', '=', paused.jobId).execute();
    await hub.db.updateTable('jobs').set({ schedule: '{}' }).where('id', '=', unreadable.jobId).execute();
    await keep('2026-06-01T12:00Z');
    const nexts = [late, never, due, paused, manual].map(async ({ jobId }) => (await storyOf(hub.db, jobId)).next);
    expect(await Promise.all(nexts)).toEqual([
      '2026-06-02T02:00Z',
      '2026-06-02T02:00Z',
      '2026-05-31T02:00Z',
      null,
      null,
    ]);
  });

  it('forgets fires after 90 days, but not one whose deadline is watched', async () => {
    const { jobId } = await scheduledJob(hub.db, daily, null);
    const fire = { job_id: jobId, run_id: null, outcome: 'missed' as const, start_deadline_at: null, alarmed_at: null };
    await hub.db
      .insertInto('schedule_fires')
      .values([
        { ...fire, scheduled_for: '2026-01-01T02:00Z' },
        { ...fire, scheduled_for: '2026-01-02T02:00Z', start_deadline_at: '2026-01-02T03:00Z' },
        { ...fire, scheduled_for: '2026-05-01T02:00Z' },
      ])
      .execute();
    await keep('2026-06-01T12:00Z');
    expect((await storyOf(hub.db, jobId)).fires).toEqual(['2026-01-02T02:00Z missed', '2026-05-01T02:00Z missed']);
  });

  it('with 10,000 jobs and 30,000 runs the questions of each tick are answered by indexes', async () => {
    const { jobId } = await scheduledJob(hub.db, daily, '2026-06-01T02:00Z');
    await manyRows(hub.db, jobId);
    const now = new Date('2026-06-01T02:00Z');
    await hub.db.transaction().execute(async (trx) => {
      const planOf = async (query: CompiledQuery): Promise<string> => {
        const explain = { ...query, sql: `explain ${query.sql}` };
        const { rows } = await trx.executeQuery<Record<string, string>>(explain);
        return rows.map((row) => row['QUERY PLAN']).join('\n');
      };
      expect(await planOf(dueJobs(trx, now, 25).compile())).toContain('jobs_due');
      expect(await planOf(openBackupsOf(jobId).compile(trx))).toContain('runs_job_live');
      expect(await planOf(overdueFires(trx, now, 50).compile())).toContain('schedule_fires_deadline');
    });
    expect(await runSchedulerPass(hub.db, hub.deps.logger, now)).toMatchObject({ more: false });
    expect((await storyOf(hub.db, jobId)).fires.at(-1)).toBe('2026-06-01T02:00Z run');
  });
});

/** Copies of the job, due later, and ended runs and settled fires of it. */
async function manyRows(db: Kysely<Database>, jobId: string): Promise<void> {
  await sql`insert into jobs (id, tenant_id, name, source_id, destination_id, engine, options, schedule, next_run_at)
    select id || '-' || n, tenant_id, name, source_id, destination_id, engine, options, schedule, next_run_at + n * interval '1 minute'
    from jobs, generate_series(1, 10000) as n where id = ${jobId}`.execute(db);
  await sql`insert into runs (id, tenant_id, kind, trigger, status, job_id, spec)
    select 'r-' || n, tenant_id, 'backup', 'schedule', 'success', id, '{}'
    from jobs, generate_series(1, 30000) as n where id = ${jobId}`.execute(db);
  await sql`insert into schedule_fires (job_id, scheduled_for, outcome, start_deadline_at, alarmed_at)
    select ${jobId}, '2025-01-01'::timestamptz + n * interval '1 minute', 'run', now(), now()
    from generate_series(1, 30000) as n`.execute(db);
  await sql`analyze jobs, runs, schedule_fires`.execute(db);
}
