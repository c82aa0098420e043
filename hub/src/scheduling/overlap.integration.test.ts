import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, type Seed, snapshotResult } from '../testing/run-fixtures.ts';
import { scheduledJob, storyOf } from '../testing/scheduled-job.ts';
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { raiseDeadlineAlarms } from './deadlines.ts';
import { runSchedulerPass } from './scheduler.ts';

const hourly = { type: 'cron', expression: '0 * * * *' };

describe.each(databaseKinds)('scheduled runs on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0, sourceHostMaxRuns: 100 } });
    worker = await scriptedWorker(hub, { slots: 50 });
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });

  const pass = (now: string) => runSchedulerPass(hub.db, hub.deps.logger, new Date(now));
  const alarms = (now: string) => raiseDeadlineAlarms(hub.db, hub.deps.logger, new Date(now));
  const job = (options: Record<string, unknown> = {}) =>
    scheduledJob(hub.db, { ...hourly, ...options }, '2026-06-01T02:00Z');
  const rest = ({ jobId }: Seed) =>
    hub.db.updateTable('jobs').set({ status: 'paused', next_run_at: null }).where('id', '=', jobId).execute();
  const runsOf = async ({ jobId }: Seed) => (await storyOf(hub.db, jobId)).runs;
  const firesOf = async ({ jobId }: Seed) => (await storyOf(hub.db, jobId)).fires;
  const overdueAudits = (runId: string) =>
    hub.db
      .selectFrom('audit_log')
      .select(['tenant_id', 'details'])
      .where('action', '=', 'run.start_overdue')
      .where('object_id', '=', runId)
      .execute();

  it('are skipped while the job’s run before has not ended, whoever asked for that one', async () => {
    const seed = await job();
    const open = await queueBackup(hub.db, seed);
    await pass('2026-06-01T02:00Z');
    expect(await runsOf(seed)).toMatchObject([{ id: open.id, trigger: 'manual' }]);
    const started = await steps.begin(open, worker);
    await pass('2026-06-01T03:00Z');
    await worker.finish(started, outcomes.cancelled);
    await pass('2026-06-01T04:00Z');
    expect(await firesOf(seed)).toEqual([
      '2026-06-01T02:00Z overlap_skipped',
      '2026-06-01T03:00Z overlap_skipped',
      '2026-06-01T04:00Z run',
    ]);
    expect(await runsOf(seed)).toHaveLength(2);
    await rest(seed);
  });

  it('wait, when the policy is to queue, until the one before has ended, and never more than one', async () => {
    const seed = await job({ overlap: 'queue' });
    await pass('2026-06-01T02:00Z');
    const [first] = await runsOf(seed);
    const started = await steps.begin(first ?? { id: '' }, worker);
    await pass('2026-06-01T03:00Z');
    await pass('2026-06-01T04:00Z');
    expect(await firesOf(seed)).toEqual([
      '2026-06-01T02:00Z run',
      '2026-06-01T03:00Z run',
      '2026-06-01T04:00Z overlap_skipped',
    ]);
    await steps.dispatch();
    const [, second] = await runsOf(seed);
    expect(second).toMatchObject({ status: 'queued' });
    expect(await steps.waitReason(second?.id ?? '')).toBe('waits for the run before it of the same job');
    // A further attempt of the first goes before the second as well.
    await worker.finish(started, outcomes.failed('SOURCE_TIMEOUT'));
    await steps.dispatch();
    expect(await runsOf(seed)).toMatchObject([{ status: 'dispatched', attempt: 2 }, { status: 'queued' }]);
    const again = await worker.start(first?.id ?? '', 2);
    const result = snapshotResult(again.body.snapshot_id ?? '', worker.id, seed);
    await worker.finish(again.body, outcomes.completed({ kind: 'backup', snapshot: result }));
    await steps.dispatch();
    expect(await runsOf(seed)).toMatchObject([{ status: 'success' }, { status: 'dispatched' }]);
    await rest(seed);
  });

  it('two that are queued at once go one after the other', async () => {
    const seed = await job({ overlap: 'queue' });
    const [first, second] = [
      await queueBackup(hub.db, seed, { trigger: 'schedule' }),
      await queueBackup(hub.db, seed, { trigger: 'schedule' }),
    ];
    await steps.dispatch();
    expect(await runsOf(seed)).toMatchObject([
      { id: first.id, status: 'dispatched' },
      { id: second.id, status: 'queued' },
    ]);
    await rest(seed);
  });

  it('raise an alarm once when they have not started by their deadline', async () => {
    const seed = await job({ start_deadline_minutes: 30 });
    await pass('2026-06-01T02:00Z');
    await rest(seed);
    const [run] = await runsOf(seed);
    const runId = run?.id ?? '';
    expect(await alarms('2026-06-01T02:29:59Z')).toEqual({ alarms: 0, more: false });
    expect(await alarms('2026-06-01T02:30Z')).toEqual({ alarms: 1, more: false });
    expect(await alarms('2026-06-01T02:31Z')).toEqual({ alarms: 0, more: false });
    expect(await steps.events(runId)).toEqual(['run_queued', 'run_start_overdue']);
    expect(await overdueAudits(runId)).toEqual([
      {
        tenant_id: seed.tenantId,
        details: { job_id: seed.jobId, scheduled_for: '2026-06-01T02:00:00.000Z', minutes: 30 },
      },
    ]);
  });

  it('raise it once also when several Hubs look', async () => {
    const seed = await job({ start_deadline_minutes: 5 });
    await pass('2026-06-01T02:00Z');
    await rest(seed);
    const raised = await Promise.all([1, 2, 3, 4].map(() => alarms('2026-06-01T02:30Z')));
    expect(raised.reduce((sum, round) => sum + round.alarms, 0)).toBe(1);
  });

  it('raise none when they started in time or were cancelled', async () => {
    const inTime = await job({ start_deadline_minutes: 30 });
    const cancelled = await job({ start_deadline_minutes: 30 });
    await pass('2026-06-01T02:00Z');
    const [run] = await runsOf(inTime);
    await steps.begin(run ?? { id: '' }, worker);
    // The worker's start is written in the database's own time.
    const started = { started_at: '2026-06-01T02:10Z' };
    await hub.db.updateTable('runs').set(started).where('job_id', '=', inTime.jobId).execute();
    await hub.db.updateTable('runs').set({ status: 'cancelled' }).where('job_id', '=', cancelled.jobId).execute();
    expect(await alarms('2026-06-01T05:00Z')).toEqual({ alarms: 0, more: false });
    for (const seed of [inTime, cancelled]) {
      const [own] = await runsOf(seed);
      expect(await overdueAudits(own?.id ?? '')).toEqual([]);
      await rest(seed);
    }
  });

  it('raise it also when the Hub looks only after the late start', async () => {
    const seed = await job({ start_deadline_minutes: 30 });
    await pass('2026-06-01T02:00Z');
    await rest(seed);
    await hub.db
      .updateTable('runs')
      .set({ started_at: '2026-06-01T02:45Z', status: 'running' })
      .where('job_id', '=', seed.jobId)
      .execute();
    expect(await alarms('2026-06-01T05:00Z')).toEqual({ alarms: 1, more: false });
  });
});
