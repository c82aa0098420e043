import { newId } from '@xvault/shared/ids.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { ownDatabase } from '@xvault/shared/testing/test-databases.ts';
import { sql } from 'kysely';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reconcileLeases, reconcileRest } from '../lifecycle/reconciler.ts';
import { raiseDeadlineAlarms } from '../scheduling/deadlines.ts';
import { runSchedulerPass } from '../scheduling/scheduler.ts';
import { keepSchedules } from '../scheduling/upkeep.ts';
import { type ApiClient, operatorClient } from '../testing/api-client.ts';
import { fillLargePlatform, largestTenant } from '../testing/large-platform.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { fillHistory, idleSource } from '../testing/long-history.ts';
import { tooLongReads, type WatchedDatabase, watchPlans } from '../testing/query-plans.ts';
import { snapshotResult } from '../testing/run-fixtures.ts';
import {
  itemEvent,
  lease,
  outcomes,
  type ScriptedWorker,
  scriptedWorker,
  someProgress,
} from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { openDatabase } from './database.ts';
import { migrate } from './migrate.ts';

const size = {
  tenants: 500,
  jobs: 2000,
  finishedRuns: 20_000,
  largestHasOneIn: 4,
  queuedRuns: 400,
  workers: 10,
  slotsPerWorker: 4,
};
/** More than wait or are under way, and much less than any table holds of the past. */
const mostRows = 600;
/** The schedules of all jobs, looked through now and then in the order of an index. */
const walk = 'upkeep of schedules';
const silent = pino({ level: 'silent' });

describe('on a large platform with a long history', () => {
  let watched: WatchedDatabase;
  let hub: TestHub;
  let worker: ScriptedWorker;
  let get: (path: string) => Promise<void>;
  let post: (path: string, headers?: Record<string, string>) => Promise<void>;
  let remove: (path: string) => Promise<void>;

  beforeAll(async () => {
    const databaseUrl = await ownDatabase();
    const opened = await openDatabase(databaseUrl, { logger: silent });
    await migrate(opened, silent);
    await fillLargePlatform(opened.db, size);
    await fillHistory(opened.db);
    await sql`vacuum analyze`.execute(opened.db);
    await opened.close();
    watched = watchPlans(databaseUrl);
    hub = await startTestHub({ databaseUrl, db: watched.db });
    worker = await scriptedWorker(hub, { slots: 4 });
    const client = await operatorClient(hub);
    const ask = async (...[method, path, headers]: [Parameters<ApiClient>[0], string, Record<string, string>?]) => {
      const answer = await client(method, path, undefined, { 'x-xvault-tenant': largestTenant, ...headers });
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.text}`);
    };
    get = (path) => ask('GET', `/api/v1${path}`);
    post = (path, headers) => ask('POST', `/api/v1${path}`, headers);
    remove = (path) => ask('DELETE', `/api/v1${path}`);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
    await watched?.db.destroy();
  });

  const lists = [
    '/runs',
    '/runs?status=failed',
    '/runs?status=cancelled',
    '/runs?status=queued',
    '/runs?status=running',
    '/runs?kind=backup',
    '/runs?kind=restore',
    '/runs?kind=backup&status=cancelled',
    '/runs?job_id=job-0000003',
    `/runs?source_id=${idleSource}`,
    `/runs?cursor=${Buffer.from(runId(10_000)).toString('base64url')}`,
    `/runs/${runId(4)}`,
    `/runs/${runId(4)}/events?since_id=1`,
    '/snapshots',
    '/snapshots?job_id=job-0000003',
    `/snapshots?source_id=${idleSource}`,
    '/snapshots?status=corrupt',
    `/snapshots/snapshot-${runId(8)}`,
    '/jobs',
    '/jobs/job-0000002',
    '/sources',
    `/sources/${idleSource}`,
    '/destinations',
    '/connections',
    '/exports',
    '/tenants',
    '/workers',
  ];
  const idleJobs = ['job-0000002', 'job-0000003', 'job-0000004'].values();
  const soon = () => new Date(Date.now() + 600_000);
  const asks = {
    'a backup asked for, once': () => post(`/jobs/${idleJobs.next().value}/runs`, { 'idempotency-key': newId() }),
    'a test of a source': () => post(`/sources/${idleSource}/probe`),
    'a validation asked for': () => post(`/snapshots/snapshot-${runId(8)}/validate`),
    'a snapshot deleted': () => remove(`/snapshots/snapshot-${runId(12)}`),
    'a source deleted that nothing uses': () => remove('/sources/source-extra-00009'),
    'a destination in use': () => expect(remove('/destinations/destination-tenant-00001')).rejects.toThrow('CONFLICT'),
    'why a run waits': () => get('/runs/00000001-000000000001'),
    'a run cancelled': () => post('/runs/00000001-000000000001/cancel'),
    admission: () => stepsOf(hub).dispatch(),
    'runs from their start to their end': () => carryOut(),
    'the scheduler': () => runSchedulerPass(hub.db, silent, soon()),
    'start deadlines': () => raiseDeadlineAlarms(hub.db, silent),
    [walk]: () => keepSchedules(hub.db, silent, new AbortController().signal),
    'leases and tickets': () => reconcileLeases(stepsOf(hub).reconciling()),
    'what else is put right now and then': () => reconcileRest(stepsOf(hub).reconciling()),
    'what may go from a worker’s disk': () => sweep(),
    'a worker that starts again': () => worker.register({ boot_id: newId() }),
    'a worker that is drained': () => post(`/workers/${worker.id}/drain`),
  } satisfies Record<string, () => Promise<unknown>>;

  async function tooLong(ask: () => Promise<unknown>, most = mostRows): Promise<string[]> {
    const plans = await watched.during(ask);
    expect(plans.length, 'nothing was asked of the database').toBeGreaterThan(0);
    return tooLongReads(plans, most);
  }

  /** Starts what was admitted and may go to any worker, beats for all, and ends all. */
  async function carryOut(): Promise<void> {
    const ready = await hub.db
      .selectFrom('runs')
      .selectAll()
      .where('status', '=', sql.lit('dispatched'))
      .where('required_worker_id', 'is', null)
      .execute();
    expect(ready.map(({ kind }) => kind)).toContain('backup');
    const answers = await Promise.all(ready.map(({ id, attempt }) => worker.start(id, attempt)));
    const started = answers.map(({ body }) => body);
    const reports = started.map((one) => ({ ...lease(one), progress: someProgress(50), events: [itemEvent(1)] }));
    const { body } = await worker.heartbeat(reports);
    expect(body.runs.map(({ action }) => action)).toEqual(started.map(() => 'continue'));
    for (const one of started) {
      const seed = { tenantId: one.tenant_id, sourceId: 'source', destinationId: 'destination', jobId: 'job' };
      const snapshot = {
        ...snapshotResult(one.snapshot_id ?? '', worker.id, seed),
        encryption: { algorithm: 'age' as const, recipients: ['age1bench'] },
      };
      const seen = { type: 'source' as const, host_key: null, server: null, entry_names: [], latency_ms: 1 };
      const result: ResultInput = one.kind === 'probe' ? { kind: 'probe', probe: seen } : { kind: 'backup', snapshot };
      expect((await worker.finish(one, outcomes.completed(result), [itemEvent(2)])).body).toEqual({
        run_status: 'success',
      });
    }
  }

  async function sweep(): Promise<void> {
    const items = Array.from({ length: 100 }, (_, at) => ({ snapshot_id: `snapshot-${runId(at + 1)}`, epoch: null }));
    for (const shared of [false, true]) {
      expect((await worker.post('/storage/live', { worker_id: worker.id, shared, items })).status).toBe(200);
    }
  }

  it.each(lists)('GET %s looks at little more than it shows', async (path) => {
    expect(await tooLong(() => get(path))).toEqual([]);
  });

  it.each(Object.entries(asks))('%s: what is past costs nothing', async (name, ask) => {
    expect(await tooLong(ask, name === walk ? Number.POSITIVE_INFINITY : mostRows)).toEqual([]);
  });

  const remainder = () => reconcileRest(stepsOf(hub).reconciling());
  const needed: readonly (readonly [index: string, ask: () => Promise<unknown>])[] = [
    ['runs_tenant', () => get('/runs')],
    ['runs_kind', () => get('/runs?kind=restore')],
    ['runs_job', () => get('/runs?job_id=job-0000003')],
    ['runs_source', () => get(`/runs?source_id=${idleSource}`)],
    ['snapshots_job', () => get('/snapshots?job_id=job-0000003')],
    ['snapshots_source_list', () => get(`/snapshots?source_id=${idleSource}`)],
    ['snapshots_status_list', () => get('/snapshots?status=corrupt')],
    ['jobs_tenant', () => get('/jobs')],
    ['jobs_due', asks['the scheduler']],
    ['schedule_fires_deadline', asks['start deadlines']],
    ['schedule_fires_age', asks[walk]],
    ['idempotency_keys_created', asks['a backup asked for, once']],
    ['run_attempts_snapshot', asks['what may go from a worker’s disk']],
    ['run_events_ts', remainder],
    ['runs_probe_results', remainder],
    ['runs_changes', remainder],
    ['runs_retention', remainder],
  ];

  it.each(needed)('without the index %s it is not so', async (index, ask) => {
    const { rows } = await sql<{ definition: string }>`
      select indexdef as definition from pg_indexes where indexname = ${index}`.execute(hub.db);
    await sql`drop index ${sql.id(index)}`.execute(hub.db);
    try {
      expect(await tooLong(ask)).not.toEqual([]);
    } finally {
      await sql.raw(rows[0]?.definition ?? '').execute(hub.db);
    }
  });
});

function runId(number: number): string {
  return `00000000-${number.toString(16).padStart(12, '0')}`;
}
