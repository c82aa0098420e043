import { startRedis } from '@xvault/shared/testing/redis.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../db/database.ts';
import { createLanes } from '../queues/lanes.ts';
import { connectRedis } from '../redis.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, queueMany, queueProbe, seedTenant } from '../testing/run-fixtures.ts';
import { type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { admitRuns } from './admission.ts';
import { cancelRun } from './cancel.ts';
import { sendOutbox } from './outbox.ts';
import { waitReasons } from './wait-reasons.ts';

const inFlightOf = async (hub: TestHub, tenantId: string) => {
  const rows = await hub.db
    .selectFrom('runs')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('status', 'in', ['dispatched', 'running'])
    .execute();
  return rows.length;
};

describe.each(databaseKinds)('admission on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { tenantMaxRuns: 3, globalMaxRuns: 8 } });
    worker = await scriptedWorker(hub, { slots: 4 });
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });
  afterEach(async () => {
    await hub.deps.redis.flushdb();
    for (const table of ['outbox', 'run_attempts', 'run_events', 'runs'] as const)
      await hub.db.deleteFrom(table).execute();
  });

  const queuedIds = async () =>
    (await hub.db.selectFrom('runs').select('id').where('status', '=', 'queued').orderBy('id').execute()).map(
      ({ id }) => id,
    );
  const reasons = async () => Promise.all((await queuedIds()).map((id) => steps.waitReason(id)));

  it('keeps to the limit of a tenant, its own or the default, and says what the rest waits for', async () => {
    const [usual, small] = [await seedTenant(hub.db), await seedTenant(hub.db, { maxConcurrentRuns: 1 })];
    for (const seed of [usual, usual, usual, usual, small, small]) await queueBackup(hub.db, seed);
    expect(await steps.dispatch()).toBe(4);
    expect(await steps.dispatch()).toBe(0);
    expect([await inFlightOf(hub, usual.tenantId), await inFlightOf(hub, small.tenantId)]).toEqual([3, 1]);
    expect(await reasons()).toEqual(['tenant limit 3 of 3 in use', 'tenant limit 1 of 1 in use']);
  });

  it('dispatches half as much again as its workers have slots; probes pass', async () => {
    const seeds = await Promise.all([1, 2, 3].map(() => seedTenant(hub.db)));
    for (const seed of seeds) for (let count = 0; count < 3; count += 1) await queueBackup(hub.db, seed);
    expect(await steps.dispatch()).toBe(6);
    const [first] = seeds;
    if (first === undefined) throw new Error('no tenant');
    const probe = await queueProbe(hub.db, first);
    expect(await steps.dispatch()).toBe(1);
    expect((await steps.row(probe.id)).status).toBe('dispatched');
    expect(new Set(await reasons())).toEqual(new Set(['pool default: 6 of 6 places in use']));
  });

  it('keeps to the limits of a source host, of a destination and of the platform', async () => {
    const tight = { ...hub.config, sourceHostMaxRuns: 2, destinationMaxRuns: 1, globalMaxRuns: 5, tenantMaxRuns: 9 };
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => seedTenant(hub.db)));
    if (a === undefined || b === undefined || c === undefined) throw new Error('no tenants');
    const admit = () => admitRuns(hub.db, tight);
    const reasonsNow = async () => {
      const rows = await hub.db.selectFrom('runs').selectAll().where('status', '=', 'queued').orderBy('id').execute();
      const said = await waitReasons(hub.db, rows, tight);
      return rows.map(({ id }) => said.get(id));
    };
    for (const seed of [a, b, c]) await queueBackup(hub.db, seed, { sourceHost: 'one.example.com:22' });
    await queueBackup(hub.db, a, { sourceHost: 'two.example.com:22' });
    expect(await admit()).toMatchObject({ admitted: 2 });
    expect(await reasonsNow()).toEqual(['source host limit 2 of 2 in use', 'destination limit 1 of 1 in use']);
    for (let more = 0; more < 4; more += 1) await queueBackup(hub.db, await seedTenant(hub.db));
    expect(await admit()).toMatchObject({ admitted: 3, more: false });
    expect((await reasonsNow()).at(-1)).toBe('platform limit 5 of 5 in use');
    expect(await admit()).toMatchObject({ admitted: 0, more: false });
  });

  it('holds a retry back until its time, a pool until it has a worker, a suspended tenant until it is active', async () => {
    const seed = await seedTenant(hub.db);
    const later = await queueBackup(hub.db, seed);
    const soon = new Date(Date.now() + 3_600_000);
    await hub.db.updateTable('runs').set({ not_before: soon }).where('id', '=', later.id).execute();
    const elsewhere = await queueBackup(hub.db, seed, { pool: 'nobody' });
    const suspended = await seedTenant(hub.db);
    const status = (to: 'active' | 'suspended') =>
      hub.db.updateTable('tenants').set({ status: to }).where('id', '=', suspended.tenantId).execute();
    await status('suspended');
    const held = [await queueBackup(hub.db, suspended), await queueProbe(hub.db, suspended)];
    expect(await steps.dispatch()).toBe(0);
    expect(await steps.waitReason(later.id)).toBe(`tries again after ${soon.toISOString()}`);
    expect(await steps.waitReason(elsewhere.id)).toBe('no worker of pool nobody is online');
    for (const run of held) expect(await steps.waitReason(run.id)).toBe('the tenant is suspended');
    await status('active');
    await steps.endBackoff(later.id);
    expect(await steps.waitReason(later.id)).toBe('is next in turn');
    expect(await steps.dispatch()).toBe(3);
  });

  it('starts the one run of a newcomer within one turn, whatever another tenant has queued', async () => {
    const [crowd, newcomer] = [await seedTenant(hub.db), await seedTenant(hub.db)];
    await queueMany(hub.db, crowd, 1000);
    const only = { ...hub.config, globalMaxRuns: 1, tenantMaxRuns: 1000 };
    const next = async () => {
      await admitRuns(hub.db, only);
      const run = await hub.db
        .selectFrom('runs')
        .selectAll()
        .where('status', '=', 'dispatched')
        .executeTakeFirstOrThrow();
      await cancelRun(hub.db, { userId: null, address: null }, run.tenant_id, run.id);
      return run.tenant_id;
    };
    for (let turn = 0; turn < 5; turn += 1) expect(await next()).toBe(crowd.tenantId);
    await queueBackup(hub.db, newcomer);
    expect(await next()).toBe(newcomer.tenantId);
    expect(await next()).toBe(crowd.tenantId);
  });

  it('shares turns by weight, and gives no credit for the time of an absence', async () => {
    const [light, heavy, absent] = [
      await seedTenant(hub.db),
      await seedTenant(hub.db, { weight: 300 }),
      await seedTenant(hub.db),
    ];
    const one = { ...hub.config, globalMaxRuns: 1, tenantMaxRuns: 1000 };
    const turns = async (count: number) => {
      const counts = new Map<string, number>();
      for (let turn = 0; turn < count; turn += 1) {
        await admitRuns(hub.db, one);
        const row = hub.db.selectFrom('runs').selectAll().where('status', '=', 'dispatched');
        const run = await row.executeTakeFirstOrThrow();
        counts.set(run.tenant_id, (counts.get(run.tenant_id) ?? 0) + 1);
        await cancelRun(hub.db, { userId: null, address: null }, run.tenant_id, run.id);
      }
      return [light, heavy, absent].map(({ tenantId }) => counts.get(tenantId) ?? 0);
    };
    await queueMany(hub.db, light, 40);
    await queueMany(hub.db, heavy, 40);
    const [lights, heavies] = await turns(20);
    expect(lights).toBeGreaterThanOrEqual(4);
    expect(heavies).toBeGreaterThanOrEqual(14);
    await queueMany(hub.db, absent, 40);
    const [, , back] = await turns(20);
    expect(back).toBeGreaterThanOrEqual(3);
    expect(back).toBeLessThanOrEqual(5);
  });

  it('sends each tenant’s runs by priority, then by age', async () => {
    const seed = await seedTenant(hub.db);
    const order = [];
    for (const priority of [0, 5, 0, 9]) order.push(await queueBackup(hub.db, seed, { priority }));
    await steps.dispatch();
    const sent = [await worker.takeTicket(), await worker.takeTicket(), await worker.takeTicket()];
    expect(sent.map((ticket) => ticket?.runId)).toEqual([order[3]?.id, order[1]?.id, order[0]?.id]);
    expect(await worker.takeTicket()).toBeNull();
  });
});

describe('two Hubs', () => {
  it('admitting one backlog at once dispatch no run twice and pass no limit', async () => {
    const hub = await startTestHub({ config: { tenantMaxRuns: 7, globalMaxRuns: 30 } });
    const other = await openDatabase(hub.config.databaseUrl, { logger: hub.deps.logger });
    const worker = await scriptedWorker(hub, { slots: 40 });
    try {
      const seeds = await Promise.all([1, 2, 3, 4, 5, 6].map(() => seedTenant(hub.db)));
      for (const seed of seeds) await Promise.all(Array.from({ length: 12 }, () => queueBackup(hub.db, seed)));
      const hubs = [hub.db, other.db];
      const rounds = await Promise.all(
        Array.from({ length: 24 }, async (_, index) => {
          const db = hubs[index % 2] ?? hub.db;
          // What comes in between makes the Hubs choose differently.
          const seed = seeds[index % seeds.length];
          if (seed !== undefined) await queueBackup(db, seed, { priority: index });
          const { admitted } = await admitRuns(db, hub.config);
          await sendOutbox(db, hub.deps.lanes);
          return admitted;
        }),
      );
      expect(rounds.reduce((sum, count) => sum + count, 0)).toBe(30);
      for (const seed of seeds) expect(await inFlightOf(hub, seed.tenantId)).toBe(5);
      const attempts = await hub.db.selectFrom('run_attempts').select(['run_id', 'epoch']).execute();
      expect(new Set(attempts.map((row) => row.run_id)).size).toBe(30);
      expect(attempts).toHaveLength(30);
      const tickets = new Set<string>();
      for (let next = await worker.takeTicket(); next !== null; next = await worker.takeTicket()) {
        expect(tickets.has(next.runId)).toBe(false);
        tickets.add(next.runId);
      }
      expect(tickets.size).toBe(30);
      expect(await hub.db.selectFrom('outbox').select('id').execute()).toEqual([]);
    } finally {
      await worker.close();
      await other.close();
      await hub.close();
    }
  });
});

describe('the outbox', () => {
  it('keeps its tickets while Redis is away and sends them when it is back', async () => {
    const hub = await startTestHub();
    const redis = await startRedis();
    const connection = connectRedis(redis.url, hub.deps.logger);
    const lanes = createLanes(connection, hub.deps.logger);
    try {
      await new Promise((resolve) => connection.once('ready', resolve));
      const worker = await scriptedWorker(hub);
      const run = await queueBackup(hub.db, await seedTenant(hub.db));
      await redis.kill();
      await admitRuns(hub.db, hub.config);
      await expect(sendOutbox(hub.db, lanes)).rejects.toThrow();
      const kept = await hub.db.selectFrom('outbox').select(['run_id', 'claimed_until']).execute();
      expect(kept).toEqual([{ run_id: run.id, claimed_until: null }]);

      const ready = new Promise((resolve) => connection.once('ready', resolve));
      await redis.restart();
      await ready;
      expect(await sendOutbox(hub.db, lanes)).toBe(1);
      expect(await lanes.state('pool-default', { runId: run.id, attempt: 1 })).toBe('pending');
      await lanes.add([{ lane: 'pool-default', kind: 'backup', runId: run.id, attempt: 1 }]);
      expect(await connection.llen('xvault:pool-default:wait')).toBe(1);
      await worker.close();
    } finally {
      await lanes.close();
      connection.disconnect();
      await redis.stop();
      await hub.close();
    }
  });

  it('leaves alone what another Hub is sending, and takes over when that one has died', async () => {
    const hub = await startTestHub();
    const worker = await scriptedWorker(hub);
    try {
      await queueBackup(hub.db, await seedTenant(hub.db));
      await admitRuns(hub.db, hub.config);
      await hub.db
        .updateTable('outbox')
        .set({ claimed_until: new Date(Date.now() + 60_000) })
        .execute();
      expect(await sendOutbox(hub.db, hub.deps.lanes)).toBe(0);
      await hub.db
        .updateTable('outbox')
        .set({ claimed_until: new Date(Date.now() - 1000) })
        .execute();
      expect(await sendOutbox(hub.db, hub.deps.lanes)).toBe(1);
    } finally {
      await worker.close();
      await hub.close();
    }
  });
});
