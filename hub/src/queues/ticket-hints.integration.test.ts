import { poolLane, redisPrefix } from '@xvault/shared/lanes.ts';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lookAtTickets } from '../lifecycle/tickets.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, seedTenant } from '../testing/run-fixtures.ts';
import { type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { createTicketHints } from './ticket-hints.ts';

let hub: TestHub;
let worker: ScriptedWorker;
beforeAll(async () => {
  // No ticket is looked for by itself while this runs.
  hub = await startTestHub({ config: { retryBaseMs: 0, dispatchedTimeoutMs: 3_600_000 } });
  worker = await scriptedWorker(hub);
});
afterAll(async () => {
  await worker?.close();
  await hub?.close();
});

it('a ticket that failed in its lane is told of, and its run goes to another attempt at once', async () => {
  const told = Promise.withResolvers<string>();
  const hints = createTicketHints(hub.config.redisUrl, hub.deps.logger, told.resolve);
  const connection = new Redis(hub.config.redisUrl, { maxRetriesPerRequest: null });
  const lane = new Worker(
    poolLane('default'),
    async () => {
      throw new Error('the Hub was not reached');
    },
    { connection, prefix: redisPrefix, autorun: false },
  );
  lane.on('error', (error) => hub.deps.logger.debug({ err: error }, 'lane of a test'));
  try {
    hints.follow(['default', 'other']);
    hints.follow(['default']);
    const steps = stepsOf(hub);
    const run = await queueBackup(hub.db, await seedTenant(hub.db));
    await steps.dispatch();
    void lane.run();
    expect(await told.promise).toBe(run.id);
    await lookAtTickets(steps.reconciling(), [run.id, 'no-such-run']);
    expect(await steps.row(run.id)).toMatchObject({ status: 'queued', attempt: 1 });
    await steps.dispatch();
    expect(await steps.row(run.id)).toMatchObject({ status: 'dispatched', attempt: 2 });
  } finally {
    await lane.close(true);
    connection.disconnect();
    await hints.close();
  }
});
