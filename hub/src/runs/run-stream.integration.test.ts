import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Background, startBackground } from '../background.ts';
import { apiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { openEventStream } from '../testing/event-stream.ts';
import { queueBackup, type Seed, seedTenant, snapshotResult } from '../testing/run-fixtures.ts';
import {
  itemEvent,
  lease,
  outcomes,
  type ScriptedWorker,
  scriptedWorker,
  someProgress,
} from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

describe.each(databaseKinds)('following a run live, with the loops running, on %s', (database) => {
  let hub: TestHub;
  let background: Background;
  let worker: ScriptedWorker;
  let seed: Seed;
  let token: string;
  let base: string;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0 } });
    base = `${await hub.app.listen({ host: '127.0.0.1', port: 0 })}/api/v1/runs`;
    worker = await scriptedWorker(hub);
    const { tenantId, owner } = await tenantClient(hub, await operatorClient(hub), 'acme');
    token = String((await apiClient(hub.app)('POST', '/api/v1/login', { ...owner })).body.access_token);
    seed = await seedTenant(hub.db, { of: tenantId });
    background = startBackground(hub.deps);
  });
  afterAll(async () => {
    await background?.stop();
    await worker?.close();
    await hub?.close();
  });

  /** Waits for what the loops do. */
  async function ticketOf(runId: string): Promise<number> {
    for (;;) {
      const ticket = await worker.takeTicket();
      if (ticket?.runId === runId) return ticket.attempt;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  it('shows the whole life, each event once, and ends with the run', async () => {
    const run = await queueBackup(hub.db, seed);
    const stream = await openEventStream(`${base}/${run.id}/stream`, token);
    expect(await stream.next()).toMatchObject({ event: 'event', id: 1, data: { message_id: 'run_queued' } });
    const started = (await worker.start(run.id, await ticketOf(run.id))).body;
    await worker.heartbeat([{ ...lease(started), progress: someProgress(30), events: [itemEvent(1)] }]);
    for (let seen = await stream.next(); seen?.data.progress_pct !== 30; seen = await stream.next()) {
      if (seen === undefined) throw new Error('the stream ended before the progress was shown');
    }
    const snapshot = snapshotResult(started.snapshot_id ?? '', worker.id, seed);
    await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }, 1), [itemEvent(2)]);
    const rest = await stream.rest();
    const told = rest.filter(({ event }) => event === 'event').map(({ data }) => data.message_id);
    expect(told).toEqual(['item_vanished', 'run_warned']);
    expect(rest.at(-1)).toMatchObject({
      event: 'end',
      data: { id: run.id, status: 'warning', snapshot_id: snapshot.snapshot_id, warnings: 1 },
    });

    const whole = await (await openEventStream(`${base}/${run.id}/stream`, token)).rest();
    const ids = whole.flatMap(({ id }) => id ?? []);
    expect(ids).toEqual([1, 2, 3, 4, 5]);
    const resumed = await (await openEventStream(`${base}/${run.id}/stream`, token, 3)).rest();
    expect(resumed.flatMap(({ id }) => id ?? [])).toEqual([4, 5]);
  });

  it('tells many followers at once and forgets those who go', async () => {
    const run = await queueBackup(hub.db, seed);
    const url = `${base}/${run.id}/stream`;
    const followers = await Promise.all([1, 2, 3, 4].map(() => openEventStream(url, token)));
    for (const follower of followers) await follower.next();
    followers[0]?.leave();
    const cancelled = await fetch(`${base}/${run.id}/cancel`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    expect(cancelled.status).toBe(202);
    for (const follower of followers.slice(1)) {
      expect((await follower.rest()).at(-1)).toMatchObject({ event: 'end', data: { status: 'cancelled' } });
    }
  });

  it('tries again by itself after a retryable failure', async () => {
    const run = await queueBackup(hub.db, seed, { maxAttempts: 2 });
    const first = (await worker.start(run.id, await ticketOf(run.id))).body;
    await worker.finish(first, outcomes.failed('SOURCE_TIMEOUT'));
    const attempt = await ticketOf(run.id);
    expect(attempt).toBe(2);
    const second = (await worker.start(run.id, attempt)).body;
    expect((await worker.finish(second, outcomes.failed('SOURCE_TIMEOUT'))).body.run_status).toBe('failed');
  });

  it('ends open streams when the server closes', async () => {
    const run = await queueBackup(hub.db, seed, { pool: 'nobody' });
    const stream = await openEventStream(`${base}/${run.id}/stream`, token);
    await stream.next();
    await hub.app.close();
    await expect(stream.rest()).resolves.not.toContainEqual(expect.objectContaining({ event: 'end' }));
  });
});
