import { newId } from '@xvault/shared/ids.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reclaimLeases } from '../lifecycle/reclaim-leases.ts';
import { operatorClient } from '../testing/api-client.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, type Seed, seedTenant, snapshotResult } from '../testing/run-fixtures.ts';
import { lease, outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

describe('the API for workers', () => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let rival: ScriptedWorker;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ config: { retryBaseMs: 0, tenantMaxRuns: 100 } });
    worker = await scriptedWorker(hub, { slots: 50 });
    rival = await scriptedWorker(hub, { slots: 50 });
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await Promise.all([worker?.close(), rival?.close()]);
    await hub?.close();
  });

  it('takes only the enrolment token for enrolling, and only a worker’s own for the rest', async () => {
    const { enrolmentToken } = hub.config;
    const operator = await operatorClient(hub);
    expect((await operator('POST', '/internal/v1/heartbeat', {})).status).toBe(401);
    const body = { worker_id: 'new-worker', name: 'new' };
    for (const token of ['', 'wrong', worker.token, `${enrolmentToken}x`]) {
      expect((await worker.post('/workers/enrol', body, token)).status).toBe(401);
    }
    for (const path of [
      '/workers/register',
      '/heartbeat',
      '/runs/x/start',
      '/runs/x/finish',
      '/storage/live',
      '/exports/x/claim',
    ]) {
      for (const token of ['', 'wrong', enrolmentToken]) {
        expect(await worker.post(path, {}, token)).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } });
      }
      expect((await worker.post(path, { unknown_field: 1 })).status).toBe(400);
    }
  });

  it('ends the old token when a worker enrols again', async () => {
    const first = await scriptedWorker(hub, { id: 'twice' });
    const second = await scriptedWorker(hub, { id: 'twice' });
    expect((await first.heartbeat([])).status).toBe(401);
    expect((await second.heartbeat([])).status).toBe(200);
  });

  it('lets no worker speak for another', async () => {
    const run = await queueBackup(hub.db, seed);
    await steps.dispatch();
    const start = { attempt: 1, worker_id: worker.id, nonce: 'n'.repeat(16) };
    expect(await rival.post(`/runs/${run.id}/start`, start)).toMatchObject({
      status: 403,
      body: { code: 'FORBIDDEN' },
    });
    const beat = { worker_id: worker.id, slots_in_use: 0, load_1m: 0, disk_free_bytes: 0, runs: [] };
    expect((await rival.post('/heartbeat', beat)).status).toBe(403);
    expect((await rival.post('/storage/live', { worker_id: worker.id, items: [] })).status).toBe(403);
    const started = await steps.begin(run, worker);
    expect((await rival.finish(started, outcomes.cancelled)).status).toBe(409);
    expect((await rival.heartbeat([lease(started)])).body.runs).toMatchObject([{ action: 'superseded' }]);
  });

  it('keeps what a worker notes of its run, whatever is in the words, and nobody else’s notes', async () => {
    const started = await steps.begin(await queueBackup(hub.db, seed), worker);
    const { epoch, lease_token } = started;
    const note = (diagnostics: Record<string, unknown>, more = {}, from = worker) =>
      from.post(`/runs/${started.run_id}/notes`, { epoch, lease_token, diagnostics, ...more });
    expect(await note({ tool: 'rclone\0\ud800', tries: 1 })).toMatchObject({ status: 200, body: { generation: null } });
    expect((await note({ tries: 2 })).status).toBe(200);
    for (const more of [{ epoch: epoch + 1 }, { lease_token: 'another' }]) {
      expect(await note({ tries: 3 }, more)).toMatchObject({ status: 409, body: { code: 'ATTEMPT_SUPERSEDED' } });
    }
    expect((await note({ tries: 3 }, {}, rival)).status).toBe(409);
    expect((await steps.row(started.run_id)).diagnostics).toEqual({ tool: 'rclone\ufffd\ufffd', tries: 2 });
    await worker.finish(started, outcomes.cancelled);
    expect((await note({ tries: 4 })).status).toBe(409);
  });

  describe('storage/live', () => {
    const ask = async (items: { snapshot_id: string; epoch: number | null }[], from = worker, shared = false) => {
      const question = { worker_id: from.id, items, shared };
      const { body } = await from.post<{ removable: typeof items }>('/storage/live', question);
      return body.removable;
    };
    const both = (started: StartResponse) => {
      const id = started.snapshot_id ?? '';
      return [
        { snapshot_id: id, epoch: started.epoch },
        { snapshot_id: id, epoch: null },
      ];
    };

    it('keeps what a live attempt writes and what is committed', async () => {
      const started = await steps.begin(await queueBackup(hub.db, seed), worker);
      expect(await ask(both(started))).toEqual([]);
      const snapshot = snapshotResult(started.snapshot_id ?? '', worker.id, seed);
      await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }));
      for (const status of ['committed', 'deleting', 'corrupt', 'missing'] as const) {
        await hub.db.updateTable('snapshots').set({ status }).where('id', '=', snapshot.snapshot_id).execute();
        expect(await ask(both(started))).toEqual([]);
      }
      await hub.db.updateTable('snapshots').set({ status: 'deleted' }).where('id', '=', snapshot.snapshot_id).execute();
      expect(await ask(both(started))).toEqual(both(started));
    });

    it('gives up what an ended attempt left, to the worker that wrote it', async () => {
      const run = await queueBackup(hub.db, seed);
      const lost = await steps.begin(run, worker);
      await steps.endLease(run.id);
      expect(await ask(both(lost))).toEqual([]);
      await reclaimLeases({ ...steps.reconciling(), settings: { ...hub.config, leaseGraceMs: 0 } });
      expect(await ask(both(lost), rival)).toEqual([]);
      // In a bucket, where each finds what any of them left.
      expect(await ask(both(lost), rival, true)).toEqual(both(lost));
      const again = await steps.begin(run, worker);
      const removable = await ask([...both(lost), ...both(again)]);
      expect(removable).toEqual(both(lost));
      expect(await ask(both(again), rival, true)).toEqual([]);
    });

    it('leaves alone what the database does not know: it may be older than the storage', async () => {
      expect(
        await ask([
          { snapshot_id: newId(), epoch: 1 },
          { snapshot_id: newId(), epoch: null },
        ]),
      ).toEqual([]);
      const lost = await steps.begin(await queueBackup(hub.db, seed), worker);
      await worker.finish(lost, outcomes.failed('STORAGE_FULL'));
      expect(await ask([{ snapshot_id: lost.snapshot_id ?? '', epoch: lost.epoch + 7 }])).toEqual([]);
    });
  });
});
