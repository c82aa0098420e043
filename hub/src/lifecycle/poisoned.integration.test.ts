import { newId } from '@xvault/shared/ids.ts';
import type { FinishRequest, StartResponse } from '@xvault/shared/internal-api.ts';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunRow, WorkerRow } from '../db/schema.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueProbe, type Seed, seedTenant } from '../testing/run-fixtures.ts';
import { itemEvent, lease, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { createFinisher } from './finish.ts';
import { reclaimLeases } from './reclaim-leases.ts';
import { createStarter } from './start.ts';

const count = 5;
/** Of each five runs the one that the database refuses to change. */
const bad = 2;

function wellDone({ epoch, lease_token }: StartResponse): FinishRequest {
  const seen = { type: 'source' as const, host_key: null, server: null, entry_names: [], latency_ms: 1 };
  const result = { kind: 'probe' as const, probe: { ...seen, measure: null, details: {} } };
  const outcome = { status: 'completed' as const, result, warnings: 0, log_excerpt: null };
  return { epoch, lease_token, progress: null, events: [], outcome };
}

describe.each(databaseKinds)(
  'one of many runs that are handled together, which cannot be changed, on %s',
  (database) => {
    let hub: TestHub;
    let scripted: ScriptedWorker;
    let worker: WorkerRow;
    let seed: Seed;
    let steps: ReturnType<typeof stepsOf>;

    beforeAll(async () => {
      hub = await startTestHub({ database });
      scripted = await scriptedWorker(hub, { slots: 50 });
      worker = await hub.db.selectFrom('workers').selectAll().executeTakeFirstOrThrow();
      seed = await seedTenant(hub.db);
      steps = stepsOf(hub);
      await sql`create table poisoned (run_id text primary key)`.execute(hub.db);
      await sql`create function refuse() returns trigger language plpgsql as $$ begin
      if exists (select from poisoned where run_id = new.id) then raise exception 'this run is poisoned'; end if;
      return new; end $$`.execute(hub.db);
      await sql`create trigger refuse before update on runs for each row execute function refuse()`.execute(hub.db);
    });
    afterAll(async () => {
      await scripted?.close();
      await hub?.close();
    });

    const poison = (run: { id: string }) => sql`insert into poisoned values (${run.id})`.execute(hub.db);
    const cure = () => sql`delete from poisoned`.execute(hub.db);
    const rowsOf = (runs: readonly RunRow[]) => Promise.all(runs.map(({ id }) => steps.row(id)));
    const nonce = ({ id }: RunRow) => `nonce-of-${id}`;
    const allBut = <T>(items: readonly T[]) => items.filter((_, at) => at !== bad);
    function one<T>(items: readonly T[]): T {
      const item = items[bad];
      if (item === undefined) throw new Error('too few');
      return item;
    }

    async function dispatched(): Promise<RunRow[]> {
      const runs = await Promise.all(Array.from({ length: count }, () => queueProbe(hub.db, seed)));
      expect(await steps.dispatch()).toBe(count);
      return rowsOf(runs);
    }

    async function begun(): Promise<{ runs: RunRow[]; started: StartResponse[] }> {
      const runs = await dispatched();
      const answers = await Promise.all(runs.map((run) => scripted.start(run.id, run.attempt, nonce(run))));
      return { runs: await rowsOf(runs), started: answers.map(({ body }) => body) };
    }

    const onlyOneFails = Array.from({ length: count }, (_, at) => (at === bad ? 'rejected' : 'fulfilled'));

    it('does not begin, and the others do; when it can it begins', async () => {
      const runs = await dispatched();
      const start = createStarter(hub.db, hub.config);
      const ask = (run: RunRow) => start({ runId: run.id, attempt: run.attempt, nonce: nonce(run), worker });
      await poison(one(runs));
      const answers = await Promise.allSettled(runs.map(ask));
      expect(answers.map(({ status }) => status)).toEqual(onlyOneFails);
      expect(one(await rowsOf(runs))).toEqual(one(runs));
      for (const { status } of allBut(await rowsOf(runs))) expect(status).toBe('running');
      await cure();
      const again = await Promise.all(runs.map(ask));
      expect(allBut(again).map((value) => ({ status: 'fulfilled', value }))).toEqual(allBut(answers));
      for (const { id } of runs) expect(await steps.events(id)).toEqual(['run_queued', 'run_started']);
    });

    it('does not begin when what it is to do cannot be read, and the others do', async () => {
      const runs = await dispatched();
      await hub.db.updateTable('runs').set({ spec: '{}' }).where('id', '=', one(runs).id).execute();
      const start = createStarter(hub.db, hub.config);
      const ask = (run: RunRow) => start({ runId: run.id, attempt: run.attempt, nonce: nonce(run), worker });
      expect((await Promise.allSettled(runs.map(ask))).map(({ status }) => status)).toEqual(onlyOneFails);
      expect((await rowsOf(runs)).map(({ status }) => status)).toEqual(
        runs.map((_, at) => (at === bad ? 'dispatched' : 'running')),
      );
    });

    it('costs its own lease and nobody else’s, and its events are stored when they can be', async () => {
      const { runs, started } = await begun();
      await poison(one(runs));
      const beat = () => scripted.heartbeat(started.map((answer) => ({ ...lease(answer), events: [itemEvent(1)] })));
      const { status, body } = await beat();
      const well = (run: RunRow) => ({ run_id: run.id, action: 'continue', events_stored_to: 1 });
      expect([status, body.runs.map(({ bandwidth_limit_bps: _, ...answer }) => answer)]).toEqual([
        200,
        allBut(runs).map(well),
      ]);
      const rows = await rowsOf(runs);
      expect(one(rows)).toEqual(one(runs));
      for (const [at, row] of allBut(rows).entries()) {
        expect(row.lease_expires_at?.getTime()).toBeGreaterThan(allBut(runs)[at]?.lease_expires_at?.getTime() ?? 0);
      }
      expect(hub.logs()).toContain('this run is poisoned');
      await cure();
      expect((await beat()).body.runs).toHaveLength(count);
      for (const { id } of runs) expect(await steps.events(id)).toEqual(['run_queued', 'run_started', 'item_vanished']);
    });

    it('alone with its worker does not keep it from being heard of', async () => {
      const { runs, started } = await begun();
      await poison(one(runs));
      await hub.db
        .updateTable('workers')
        .set({ last_seen_at: new Date(0), slots_in_use: 0 })
        .execute();
      expect((await scripted.heartbeat([lease(one(started))])).body).toEqual({ drain: false, runs: [] });
      await cure();
      const seen = await hub.db.selectFrom('workers').selectAll().executeTakeFirstOrThrow();
      expect(seen.slots_in_use).toBe(1);
      expect(seen.last_seen_at?.getTime()).toBeGreaterThan(0);
    });

    it('does not end, and the others do; when it can it ends', async () => {
      const { runs, started } = await begun();
      const finish = createFinisher(hub.db, hub.config);
      const end = (answer: StartResponse) =>
        finish({ runId: answer.run_id, workerId: worker.id, request: wellDone(answer) });
      await poison(one(runs));
      expect((await Promise.allSettled(started.map(end))).map(({ status }) => status)).toEqual(onlyOneFails);
      expect((await rowsOf(runs)).map(({ status }) => status)).toEqual(
        runs.map((_, at) => (at === bad ? 'running' : 'success')),
      );
      await cure();
      expect(await Promise.all(started.map(end))).toEqual(started.map(() => ({ run_status: 'success' })));
      for (const { id } of runs) expect(await steps.events(id)).toEqual(['run_queued', 'run_started', 'run_succeeded']);
    });

    it('is left for the next time when its lease is over, and the others are taken', async () => {
      const { runs } = await begun();
      for (const { id } of runs) await steps.endLease(id);
      await poison(one(runs));
      await reclaimLeases(steps.reconciling());
      expect((await rowsOf(runs)).map(({ status }) => status)).toEqual(
        runs.map((_, at) => (at === bad ? 'running' : 'failed')),
      );
      await cure();
      await reclaimLeases(steps.reconciling());
      expect((await steps.row(one(runs).id)).error_code).toBe('WORKER_LOST');
    });

    it('ends with the rest of a worker that starts again, also when its spec cannot be read', async () => {
      const { runs } = await begun();
      await hub.db.updateTable('runs').set({ spec: '{}' }).where('id', '=', one(runs).id).execute();
      expect((await scripted.register({ boot_id: newId() })).status).toBe(200);
      for (const row of await rowsOf(runs)) expect([row.status, row.error_code]).toEqual(['failed', 'WORKER_LOST']);
    });
  },
);
