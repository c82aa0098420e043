import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, queueProbe, type Seed, seedTenant } from '../testing/run-fixtures.ts';
import { lease, outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

describe.each(databaseKinds)('bandwidth on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let operator: ApiClient;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { bandwidthLimitBps: 6_000_000 } });
    worker = await scriptedWorker(hub, { slots: 100 });
    operator = await operatorClient(hub);
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });

  const limitOfTenant = (limit: number | null) =>
    operator('PATCH', `/api/v1/tenants/${seed.tenantId}`, { bandwidth_limit_bps: limit });
  const begin = async (of: Seed) => steps.begin(await queueBackup(hub.db, of), worker);

  it('is the platform’s and the tenant’s limit, each by the runs that share it, as they come and go', async () => {
    expect((await operator('GET', '/api/v1/settings')).body).toEqual({ bandwidth_limit_bps: 6_000_000 });
    const first = await begin(seed);
    expect(first.bandwidth_limit_bps).toBe(6_000_000);
    const other = await begin(await seedTenant(hub.db));
    const second = await begin(await seedTenant(hub.db, { of: seed.tenantId }));
    const runs = [first, second, other];
    const beat = async () => {
      const { body } = await worker.heartbeat(runs.map(lease));
      return body.runs.map((run) => run.bandwidth_limit_bps);
    };
    const becomes = (expected: readonly (number | null)[]) =>
      until(`limits of ${expected.join(', ')}`, async () => JSON.stringify(await beat()) === JSON.stringify(expected));
    await becomes([2_000_000, 2_000_000, 2_000_000]);
    await limitOfTenant(3_000_000);
    await becomes([1_500_000, 1_500_000, 2_000_000]);
    expect(await operator('PATCH', '/api/v1/settings', { bandwidth_limit_bps: 3_000_000 })).toMatchObject({
      status: 200,
      body: { bandwidth_limit_bps: 3_000_000 },
    });
    await becomes([1_000_000, 1_000_000, 1_000_000]);
    await operator('PATCH', '/api/v1/settings', { bandwidth_limit_bps: null });
    await becomes([1_500_000, 1_500_000, null]);
    await worker.finish(second, outcomes.failed('SOURCE_LOST'));
    runs.splice(1, 1);
    await becomes([3_000_000, null]);
    await limitOfTenant(null);
    await becomes([null, null]);
  });

  it('counts for a run from its start on, also before the shares are looked up again', async () => {
    await operator('PATCH', '/api/v1/settings', { bandwidth_limit_bps: null });
    const limited = await seedTenant(hub.db);
    await operator('PATCH', `/api/v1/tenants/${limited.tenantId}`, { bandwidth_limit_bps: 1_000_000 });
    // What the Hub has kept must be from after the change.
    await sleep(2_100);
    const first = await begin(limited);
    const second = await begin(await seedTenant(hub.db, { of: limited.tenantId }));
    expect(first.bandwidth_limit_bps).toBe(1_000_000);
    expect([500_000, 1_000_000]).toContain(second.bandwidth_limit_bps);
    const { body } = await worker.heartbeat([lease(second)]);
    // Never told that it is without a limit.
    expect([undefined, 500_000]).toContain(body.runs[0]?.bandwidth_limit_bps);
  });

  it('is nobody’s matter in a probe', async () => {
    await operator('PATCH', '/api/v1/settings', { bandwidth_limit_bps: 5_000_000 });
    const probe = await steps.begin(await queueProbe(hub.db, seed), worker);
    expect(probe.bandwidth_limit_bps).toBeNull();
  });

  it('is set by operators alone', async () => {
    const { client } = await tenantClient(hub, operator, `tenant-${database}`);
    expect(await client('GET', '/api/v1/settings')).toMatchObject({ status: 403 });
    expect(await client('PATCH', '/api/v1/settings', { bandwidth_limit_bps: 1024 })).toMatchObject({ status: 403 });
    expect(await operator('PATCH', '/api/v1/settings', { bandwidth_limit_bps: 0 })).toMatchObject({ status: 400 });
    expect(await operator('PATCH', '/api/v1/settings', { nonsense: 1 })).toMatchObject({ status: 400 });
  });
});
