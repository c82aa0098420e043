import type { HeartbeatRequest } from '@xvault/shared/internal-api.ts';
import { hashToken } from '@xvault/shared/tokens.ts';
import type { Kysely, KyselyPlugin } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../db/schema.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, type Seed, seedTenant } from '../testing/run-fixtures.ts';
import { itemEvent, lease, type ScriptedWorker, scriptedWorker, someProgress } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { heartbeat } from './heartbeat.ts';

describe.each(databaseKinds)('heartbeats on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { tenantMaxRuns: 5000, globalMaxRuns: 5000, eventMaxPerRun: 10 } });
    worker = await scriptedWorker(hub, { slots: 1000 });
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });

  it('store an event once, however often it is sent, and stop at the cap', async () => {
    const started = await steps.begin(await queueBackup(hub.db, seed), worker);
    const beat = async (from: number, to: number) => {
      const events = Array.from({ length: to - from + 1 }, (_, index) => itemEvent(from + index));
      const { body } = await worker.heartbeat([{ ...lease(started), events }]);
      return body.runs[0]?.events_stored_to;
    };
    expect(await beat(1, 3)).toBe(3);
    expect(await beat(1, 3)).toBe(3);
    expect(await beat(2, 5)).toBe(5);
    expect(await steps.events(started.run_id)).toHaveLength(7);
    expect(await beat(6, 20)).toBe(20);
    expect(await beat(21, 30)).toBe(30);
    const told = await steps.events(started.run_id);
    expect(told).toHaveLength(11);
    expect(told.filter((name) => name === 'events_capped')).toHaveLength(1);
  });

  it('answer only for runs that are really held, and leave the others alone', async () => {
    const started = await steps.begin(await queueBackup(hub.db, seed), worker);
    const rival = await scriptedWorker(hub);
    const expiresAt = (await steps.row(started.run_id)).lease_expires_at;
    const forged = [
      { ...lease(started), lease_token: 'forged' },
      { ...lease(started), epoch: started.epoch + 1 },
      { ...lease(started), run_id: 'no-such-run' },
    ];
    for (const report of forged) {
      const { body } = await worker.heartbeat([{ ...report, progress: someProgress(99), events: [itemEvent(1)] }]);
      expect(body.runs).toEqual([{ run_id: report.run_id, action: 'superseded', events_stored_to: 0 }]);
    }
    expect((await rival.heartbeat([lease(started)])).body.runs).toMatchObject([{ action: 'superseded' }]);
    expect(await steps.row(started.run_id)).toMatchObject({ lease_expires_at: expiresAt, bytes_transferred: 0 });
  });

  it('tell a worker to drain', async () => {
    const tired = await scriptedWorker(hub);
    await hub.db.updateTable('workers').set({ status: 'draining' }).where('id', '=', tired.id).execute();
    expect((await tired.heartbeat([])).body).toEqual({ drain: true, runs: [] });
  });

  it('cost the same number of statements for a thousand runs as for two', async () => {
    const reports = await manyRunning(1000);
    const few = await statementsOf((db) => beat(db, reports.slice(0, 2)));
    const many = await statementsOf((db) => beat(db, reports));
    expect(many).toBe(few);
    expect(many).toBeLessThan(12);
    const last = reports.at(-1);
    expect(await steps.row(last?.run_id ?? '')).toMatchObject({ status: 'running', progress_pct: 50, worker_seq: 1 });
  });

  function beat(db: Kysely<Database>, runs: HeartbeatRequest['runs']) {
    const request = { worker_id: worker.id, slots_in_use: runs.length, load_1m: 1, disk_free_bytes: 1, runs };
    return heartbeat(db, worker.id, request, hub.config, hub.deps.logger).then(({ runs: answers }) => {
      expect(answers.every(({ action }) => action === 'continue')).toBe(true);
    });
  }

  async function statementsOf(work: (db: Kysely<Database>) => Promise<void>): Promise<number> {
    let count = 0;
    const counter: KyselyPlugin = {
      transformQuery: ({ node }) => {
        count += 1;
        return node;
      },
      transformResult: async ({ result }) => result,
    };
    await work(hub.db.withPlugin(counter));
    return count;
  }

  /** Runs as if started, each with a lease token of its own; starting a thousand would take long. */
  async function manyRunning(count: number): Promise<HeartbeatRequest['runs']> {
    const template = await steps.row((await steps.begin(await queueBackup(hub.db, seed), worker)).run_id);
    const reports = Array.from({ length: count }, (_, index) => ({
      run_id: `${template.id.slice(0, 24)}${String(index).padStart(12, '0')}`,
      epoch: 1,
      lease_token: `token-${index}`,
      progress: someProgress(50),
      events: [itemEvent(1)],
    }));
    const { result: _, not_before: __, ...common } = template;
    await hub.db
      .insertInto('runs')
      .values(
        reports.map(({ run_id, lease_token }) => ({
          ...common,
          spec: JSON.stringify(template.spec),
          result: null,
          diagnostics: null,
          id: run_id,
          lease_token_hash: hashToken(lease_token),
          event_count: 0,
        })),
      )
      .execute();
    return reports;
  }
});
