import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../db/database.ts';
import { anotherJob, scheduledJob, storyOf } from '../testing/scheduled-job.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { nextFire } from './next-fires.ts';
import { completeSchedule, scheduleInput } from './schedule.schema.ts';
import { runSchedulerPass } from './scheduler.ts';

const daily = { type: 'daily', time: '02:00' };
const due = '2026-06-01T02:00Z';

describe.each(databaseKinds)('the scheduler on %s', (database) => {
  let hub: TestHub;
  beforeAll(async () => {
    hub = await startTestHub({ database });
  });
  afterAll(() => hub?.close());
  // Each test has the clock for itself.
  afterEach(() => hub.db.updateTable('jobs').set({ status: 'deleted', next_run_at: null }).execute());

  const pass = (now: string) => runSchedulerPass(hub.db, hub.deps.logger, new Date(now));
  const story = (jobId: string) => storyOf(hub.db, jobId);
  const audited = async (jobId: string) => {
    const rows = await hub.db.selectFrom('audit_log').select('action').where('object_id', '=', jobId).execute();
    return rows.map((row) => row.action);
  };

  it('makes a run of a job that is due, once, and goes on to the next time', async () => {
    const { jobId, tenantId, sourceId } = await scheduledJob(hub.db, daily, due);
    expect(await pass('2026-06-01T01:59:59.999Z')).toEqual({ jobs: 0, runs: 0, more: false });
    expect(await pass('2026-06-01T02:00Z')).toEqual({ jobs: 1, runs: 1, more: false });
    expect(await pass('2026-06-01T02:00:01Z')).toEqual({ jobs: 0, runs: 0, more: false });
    const { fires, runs, next } = await story(jobId);
    expect(fires).toEqual(['2026-06-01T02:00Z run']);
    expect(next).toBe('2026-06-02T02:00Z');
    expect(runs).toMatchObject([{ kind: 'backup', trigger: 'schedule', status: 'queued', tenant_id: tenantId }]);
    expect(runs[0]?.spec).toMatchObject({ kind: 'backup', job_id: jobId, source_id: sourceId });
    const row = await hub.db.selectFrom('schedule_fires').selectAll().where('job_id', '=', jobId).executeTakeFirst();
    expect(row?.run_id).toBe(runs[0]?.id);
  });

  it('never fires jobs that are paused, deleted, manual or of a suspended tenant', async () => {
    const paused = await scheduledJob(hub.db, daily, due);
    const deleted = await scheduledJob(hub.db, daily, due);
    const manual = await scheduledJob(hub.db, { type: 'manual' }, due);
    const suspended = await scheduledJob(hub.db, daily, due);
    await hub.db.updateTable('jobs').set({ status: 'paused' }).where('id', '=', paused.jobId).execute();
    await hub.db.updateTable('jobs').set({ status: 'deleted' }).where('id', '=', deleted.jobId).execute();
    await hub.db.updateTable('tenants').set({ status: 'suspended' }).where('id', '=', suspended.tenantId).execute();
    expect(await pass(due)).toMatchObject({ runs: 0 });
    for (const { jobId } of [paused, deleted]) expect(await story(jobId)).toMatchObject({ fires: [], runs: [] });
    expect(await story(manual.jobId)).toMatchObject({ fires: [], runs: [], next: null });
    // Nothing is made up for when the tenant is active again.
    expect(await story(suspended.jobId)).toMatchObject({ fires: [], runs: [], next: '2026-06-02T02:00Z' });
  });

  it('a pause that comes while the scheduler looks is respected', async () => {
    const { jobId } = await scheduledJob(hub.db, daily, due);
    const passing = await hub.db.transaction().execute(async (trx) => {
      await trx.updateTable('jobs').set({ status: 'paused', next_run_at: null }).where('id', '=', jobId).execute();
      // On PGlite, which has one connection, it waits; on PostgreSQL it passes over the locked row.
      const started = pass(due);
      if (database === 'postgres') await started;
      return { started };
    });
    expect(await passing.started).toMatchObject({ runs: 0 });
    expect(await story(jobId)).toMatchObject({ fires: [], runs: [], next: null });
  });

  it('several schedulers at once make one run of each fire', async () => {
    const seed = await scheduledJob(hub.db, { type: 'cron', expression: '*/5 * * * *' }, due);
    const jobs = [seed.jobId];
    while (jobs.length < 60) jobs.push(await anotherJob(hub.db, seed));
    const second =
      database === 'postgres'
        ? await openDatabase(hub.deps.config.databaseUrl, { logger: pino({ level: 'silent' }) })
        : hub.deps.open;
    let runs = 0;
    for (const now of ['2026-06-01T02:00Z', '2026-06-01T02:05Z', '2026-06-01T02:10Z']) {
      const passes = [hub.db, second.db, hub.db, second.db].map((db) =>
        runSchedulerPass(db, hub.deps.logger, new Date(now)),
      );
      for (const done of await Promise.all(passes)) runs += done.runs;
      runs += (await pass(now)).runs;
      await hub.db.deleteFrom('outbox').execute();
      await hub.db.updateTable('runs').set({ status: 'success' }).where('tenant_id', '=', seed.tenantId).execute();
    }
    if (second !== hub.deps.open) await second.close();
    for (const jobId of jobs) {
      const { fires, runs: own } = await story(jobId);
      expect(fires).toEqual(['2026-06-01T02:00Z run', '2026-06-01T02:05Z run', '2026-06-01T02:10Z run']);
      expect(own).toHaveLength(3);
    }
    expect(runs).toBe(180);
  });

  it('what was missed while everything was down is skipped, and written down', async () => {
    const { jobId } = await scheduledJob(hub.db, daily, due);
    await pass('2026-06-03T12:00Z');
    expect(await story(jobId)).toMatchObject({
      fires: ['2026-06-01T02:00Z missed', '2026-06-02T02:00Z missed', '2026-06-03T02:00Z missed'],
      runs: [],
      next: '2026-06-04T02:00Z',
    });
    expect(await audited(jobId)).toEqual(['job.fires_missed']);
  });

  it('a fire that is a little late is not missed', async () => {
    const { jobId } = await scheduledJob(hub.db, daily, due);
    await pass('2026-06-02T02:04:59Z');
    const { fires, runs } = await story(jobId);
    expect(fires).toEqual(['2026-06-01T02:00Z missed', '2026-06-02T02:00Z run']);
    expect(runs).toHaveLength(1);
  });

  it('or it is caught up with by a single run', async () => {
    const { jobId } = await scheduledJob(hub.db, { ...daily, catch_up: 'once' }, due);
    await pass('2026-06-03T12:00Z');
    const { fires, runs, next } = await story(jobId);
    expect(fires).toEqual(['2026-06-01T02:00Z missed', '2026-06-02T02:00Z missed', '2026-06-03T02:00Z run']);
    expect(runs).toHaveLength(1);
    expect(next).toBe('2026-06-04T02:00Z');
  });

  it('also when far more was missed than one statement writes down', async () => {
    const { jobId } = await scheduledJob(hub.db, { type: 'cron', expression: '* * * * *', catch_up: 'once' }, due);
    expect(await pass('2026-06-02T02:00:30Z')).toMatchObject({ runs: 1, more: false });
    const { fires, runs, next } = await story(jobId);
    expect(fires).toHaveLength(1441);
    expect(fires.filter((fire) => !fire.endsWith('missed'))).toEqual(['2026-06-02T02:00Z run']);
    expect(runs).toHaveLength(1);
    expect(next).toBe('2026-06-02T02:01Z');
  });

  it('a clock that was set back fires nothing a second time', async () => {
    const { jobId } = await scheduledJob(hub.db, daily, due);
    await pass('2026-06-01T02:00Z');
    await hub.db.updateTable('jobs').set({ next_run_at: due }).where('id', '=', jobId).execute();
    await hub.db.updateTable('runs').set({ status: 'success' }).where('job_id', '=', jobId).execute();
    expect(await pass('2026-06-01T02:00:30Z')).toMatchObject({ jobs: 1, runs: 0 });
    expect(await story(jobId)).toMatchObject({ fires: ['2026-06-01T02:00Z run'], next: '2026-06-02T02:00Z' });
  });

  it('jitter delays the run, not the time it belongs to', async () => {
    const input = { ...daily, jitter_seconds: 3600 };
    const { jobId } = await scheduledJob(hub.db, input, null);
    const schedule = completeSchedule(scheduleInput.parse(input), 'UTC');
    const fire = nextFire(schedule, new Date('2026-05-31T12:00Z'), jobId);
    const fireAt = fire?.fireAt ?? new Date(Number.NaN);
    expect(fireAt.getTime()).toBeGreaterThan(Date.parse(due));
    await hub.db.updateTable('jobs').set({ next_run_at: fireAt }).where('id', '=', jobId).execute();
    expect(await pass(new Date(fireAt.getTime() - 1).toISOString())).toMatchObject({ jobs: 0 });
    expect(await pass(fireAt.toISOString())).toMatchObject({ runs: 1 });
    expect((await story(jobId)).fires).toEqual(['2026-06-01T02:00Z run']);
  });

  it('a job that cannot be fired hinders no other, and is tried again at its next time', async () => {
    const broken = await scheduledJob(hub.db, daily, due);
    const invalid = await scheduledJob(hub.db, daily, due);
    const sound = await scheduledJob(hub.db, daily, '2026-06-01T02:00:00.001Z');
    await hub.db.updateTable('sources').set({ status: 'deleted' }).where('id', '=', broken.sourceId).execute();
    await hub.db.updateTable('jobs').set({ schedule: '{"type":"x"}' }).where('id', '=', invalid.jobId).execute();
    expect(await pass('2026-06-01T02:00:01Z')).toMatchObject({ jobs: 3, runs: 1 });
    expect(await story(broken.jobId)).toMatchObject({
      fires: ['2026-06-01T02:00Z failed'],
      runs: [],
      next: '2026-06-02T02:00Z',
    });
    expect(await audited(broken.jobId)).toEqual(['job.fire_failed']);
    expect(await story(invalid.jobId)).toMatchObject({ runs: [], next: null });
    expect((await story(sound.jobId)).runs).toHaveLength(1);
  });
});
