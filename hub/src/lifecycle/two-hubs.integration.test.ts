import type { XVaultError } from '@xvault/shared/errors.ts';
import type { FinishRequest, StartResponse } from '@xvault/shared/internal-api.ts';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenDatabase, openDatabase } from '../db/database.ts';
import type { RunRow, WorkerRow } from '../db/schema.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, type Seed, seedTenant, snapshotResult } from '../testing/run-fixtures.ts';
import { type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { forceCancelRun } from './cancel.ts';
import { createFinisher } from './finish.ts';
import { reclaimLeases } from './reclaim-leases.ts';
import { createStarter } from './start.ts';

const nobody = { userId: null, address: null };
const count = 12;

describe('two Hubs that are asked the same at the same time', () => {
  let hub: TestHub;
  let other: OpenDatabase;
  let scripted: ScriptedWorker;
  let worker: WorkerRow;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ config: { retryBaseMs: 0, leaseGraceMs: 0, tenantMaxRuns: 100 } });
    other = await openDatabase(hub.config.databaseUrl, { logger: hub.deps.logger });
    scripted = await scriptedWorker(hub, { slots: 50 });
    worker = await hub.db.selectFrom('workers').selectAll().executeTakeFirstOrThrow();
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await scripted?.close();
    await other?.close();
    await hub?.close();
  });

  const nonce = ({ id }: Pick<RunRow, 'id'>) => `nonce-of-${id}`;
  const starters = () => [hub.db, other.db].map((db) => createStarter(db, hub.config));

  async function dispatched(): Promise<RunRow[]> {
    const runs = [];
    for (let number = 0; number < count; number += 1) runs.push(await queueBackup(hub.db, seed));
    expect(await steps.dispatch()).toBe(count);
    return Promise.all(runs.map(({ id }) => steps.row(id)));
  }

  async function begun(): Promise<StartResponse[]> {
    const runs = await dispatched();
    return Promise.all(runs.map(async (run) => (await scripted.start(run.id, run.attempt, nonce(run))).body));
  }

  function wellDone({ epoch, lease_token, snapshot_id }: StartResponse): FinishRequest {
    const result = { kind: 'backup' as const, snapshot: snapshotResult(snapshot_id ?? '', worker.id, seed) };
    const outcome = { status: 'completed' as const, result, warnings: 0, log_excerpt: null };
    return { epoch, lease_token, progress: null, events: [], outcome };
  }

  const snapshotsOf = (runId: string) =>
    hub.db.selectFrom('snapshots').select('id').where('run_id', '=', runId).execute();

  it('give a worker that asked both the same start', async () => {
    const runs = await dispatched();
    const ask = (run: RunRow) => ({ runId: run.id, attempt: run.attempt, nonce: nonce(run), worker });
    // The second Hub hears of them in another order.
    const [one, two] = starters().map((start, at) =>
      Promise.all((at === 0 ? runs : runs.toReversed()).map((run) => start(ask(run)))),
    );
    expect((await two)?.toReversed()).toEqual(await one);
    for (const { id } of runs) expect(await steps.events(id)).toEqual(['run_queued', 'run_started']);
  });

  it('give a run to one of two workers that took its ticket', async () => {
    const rival = await scriptedWorker(hub, { slots: 50 });
    const { [rival.id]: rivalRow } = Object.fromEntries(
      (await hub.db.selectFrom('workers').selectAll().execute()).map((row) => [row.id, row]),
    );
    if (rivalRow === undefined) throw new Error('the rival is not there');
    const runs = await dispatched();
    const [mine, its] = await Promise.all(
      starters().map((start, at) =>
        Promise.allSettled(
          runs.map((run) =>
            start({
              runId: run.id,
              attempt: run.attempt,
              nonce: `${nonce(run)}-${at}`,
              worker: at === 0 ? worker : rivalRow,
            }),
          ),
        ),
      ),
    );
    for (const [at, { id }] of runs.entries()) {
      expect([mine?.[at]?.status, its?.[at]?.status].toSorted()).toEqual(['fulfilled', 'rejected']);
      const holder = mine?.[at]?.status === 'fulfilled' ? worker.id : rival.id;
      expect(await steps.row(id)).toMatchObject({ status: 'running', worker_id: holder, epoch: 1 });
    }
    await rival.close();
  });

  it('commit the end of a run once, and both say so', async () => {
    const started = await begun();
    const ends = await Promise.all(
      [hub.db, other.db].map((db) => {
        const finish = createFinisher(db, hub.config);
        return Promise.all(
          started.map((one) => finish({ runId: one.run_id, workerId: worker.id, request: wellDone(one) })),
        );
      }),
    );
    expect(ends.flat()).toEqual(Array.from({ length: 2 * count }, () => ({ run_status: 'success' })));
    for (const { run_id } of started) {
      expect(await snapshotsOf(run_id)).toHaveLength(1);
      expect(await steps.events(run_id)).toEqual(['run_queued', 'run_started', 'run_succeeded']);
    }
  });

  it('let one win when a run ends, is cancelled and loses its lease: with a snapshot or without, never half', async () => {
    const started = await begun();
    for (const { run_id } of started) await steps.endLease(run_id);
    const finish = createFinisher(hub.db, hub.config);
    const reconciling = { ...steps.reconciling(), db: other.db };
    const [ends, cancels] = await Promise.all([
      Promise.allSettled(
        started.map((one) => finish({ runId: one.run_id, workerId: worker.id, request: wellDone(one) })),
      ),
      Promise.allSettled(
        started
          .filter((_, at) => at % 2 === 0)
          .map((one) => forceCancelRun(other.db, nobody, seed.tenantId, one.run_id)),
      ),
      reclaimLeases(reconciling),
    ]);
    for (const [at, { run_id }] of started.entries()) {
      const row = await steps.row(run_id);
      const end = ends[at];
      const isDone = end?.status === 'fulfilled';
      if (end?.status === 'rejected') expect(end.reason).toMatchObject({ code: 'ATTEMPT_SUPERSEDED' });
      const cancel = at % 2 === 0 ? cancels[at / 2] : undefined;
      if (cancel?.status === 'rejected') expect((cancel.reason as XVaultError).code).toBe('RUN_NOT_CANCELLABLE');
      expect(row.status).toBe(isDone ? 'success' : cancel?.status === 'fulfilled' ? 'cancelled' : 'queued');
      expect(await snapshotsOf(run_id)).toHaveLength(isDone ? 1 : 0);
      const { n } = await hub.db
        .selectFrom('run_attempts')
        .select(sql<number>`count(*) filter (where ended_at is null)::int`.as('n'))
        .where('run_id', '=', run_id)
        .executeTakeFirstOrThrow();
      expect(n, 'attempts that have not ended').toBe(0);
    }
    await hub.db.updateTable('runs').set({ status: 'cancelled' }).where('status', '=', 'queued').execute();
  });

  it('lose nothing when a connection is cut in the middle of a batch', async () => {
    const runs = await dispatched();
    await sql`create sequence starts`.execute(hub.db);
    // What a sequence has given is not taken back with the transaction, so this happens once.
    await sql`create function cut() returns trigger language plpgsql as $$ begin
      if nextval('starts') = 5 then perform pg_terminate_backend(pg_backend_pid()); end if;
      return new; end $$`.execute(hub.db);
    await sql`create trigger cut before update on runs for each row when (new.status = 'running') execute function cut()`.execute(
      hub.db,
    );
    const start = createStarter(other.db, hub.config);
    const answers = await Promise.all(
      runs.map((run) => start({ runId: run.id, attempt: run.attempt, nonce: nonce(run), worker })),
    );
    expect(answers.map(({ run_id }) => run_id)).toEqual(runs.map(({ id }) => id));
    const { rows } = await sql<{ last_value: number }>`select last_value from starts`.execute(hub.db);
    expect(rows[0]?.last_value).toBeGreaterThan(count);
    for (const { id } of runs) expect(await steps.events(id)).toEqual(['run_queued', 'run_started']);
  });
});
