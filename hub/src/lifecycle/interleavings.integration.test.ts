import { newId } from '@xvault/shared/ids.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunStatus } from '../db/schema.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { queueBackup, type Seed, seedTenant, snapshotResult } from '../testing/run-fixtures.ts';
import { itemEvent, lease, outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { drainWorker, resumeWorker } from '../workers/workers.service.ts';
import { cancelRun, forceCancelRun } from './cancel.ts';
import { reclaimLeases } from './reclaim-leases.ts';
import { legalTransitions } from './states.ts';
import { recallTickets } from './tickets.ts';

const nobody = { userId: null, address: null };

const steps = [
  'dispatch',
  'start',
  'start again',
  'stale start',
  'heartbeat',
  'complete',
  'fail',
  'fail for good',
  'hand back',
  'confirm cancel',
  'cancel',
  'lose worker',
  'force cancel',
  'restart worker',
  'drain and resume',
  'recall tickets',
] as const;
type Step = (typeof steps)[number];
/** Steps of one batch happen at the same time; half of the stories begin with a run that a worker has. */
const story = fc
  .tuple(
    fc.constantFrom<Step[][]>([], [['dispatch'], ['start']]),
    fc.array(fc.array(fc.constantFrom(...steps), { minLength: 1, maxLength: 3 }), { minLength: 3, maxLength: 12 }),
  )
  .map(([beginning, rest]) => [...beginning, ...rest]);

/** Every status that can follow by any number of legal transitions. */
function reachable(from: RunStatus): Set<RunStatus> {
  const found = new Set<RunStatus>([from]);
  for (const status of found) for (const next of legalTransitions[status]) found.add(next);
  return found;
}

describe.each(databaseKinds)('any interleaving of callbacks on %s', (database) => {
  let hub: TestHub;
  let seed: Seed;
  let workers: ScriptedWorker[];
  let at: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0, tenantMaxRuns: 1000, leaseGraceMs: 0 } });
    seed = await seedTenant(hub.db);
    workers = [await scriptedWorker(hub, { slots: 500 }), await scriptedWorker(hub, { slots: 500 })];
    at = stepsOf(hub);
  });
  afterAll(async () => {
    await Promise.all((workers ?? []).map((worker) => worker.close()));
    await hub?.close();
  });

  /** Two workers that act on what they were told, however old. */
  function actors(runId: string) {
    const held: { worker: ScriptedWorker; started: StartResponse; seq: number }[] = [];
    let turn = 0;
    const pick = () => held[turn % Math.max(1, held.length)];
    const finish = async (
      how: (of: { worker: ScriptedWorker; started: StartResponse }) => Parameters<ScriptedWorker['finish']>[1],
    ) => {
      const holder = pick();
      if (holder === undefined) return;
      const answer = await holder.worker.finish(holder.started, how(holder), [itemEvent(1), itemEvent(2)]);
      expect([200, 409]).toContain(answer.status);
    };
    const start = async (attemptOffset: number, nonce?: string) => {
      const worker = workers[turn % workers.length];
      const { attempt } = await at.row(runId);
      if (worker === undefined || attempt + attemptOffset < 1) return;
      const answer = await worker.start(runId, attempt + attemptOffset, nonce);
      expect([200, 409]).toContain(answer.status);
      if (answer.status === 200) held.push({ worker, started: answer.body, seq: 0 });
    };
    const acts: Record<Step, () => Promise<unknown>> = {
      dispatch: () => at.dispatch(),
      start: () => start(0),
      'start again': () => start(0, 'the-same-nonce-again'),
      'stale start': () => start(-1),
      heartbeat: async () => {
        const holder = pick();
        if (holder === undefined) return;
        holder.seq += 1;
        const answer = await holder.worker.heartbeat([{ ...lease(holder.started), events: [itemEvent(holder.seq)] }]);
        expect(answer.status).toBe(200);
      },
      complete: () =>
        finish(({ worker, started }) =>
          outcomes.completed({ kind: 'backup', snapshot: snapshotResult(started.snapshot_id ?? '', worker.id, seed) }),
        ),
      fail: () => finish(() => outcomes.failed('SOURCE_TIMEOUT')),
      'fail for good': () => finish(() => outcomes.failed('SOURCE_AUTH_FAILED')),
      'hand back': () => finish(() => outcomes.handedBack),
      'confirm cancel': () => finish(() => outcomes.cancelled),
      cancel: () =>
        cancelRun(hub.db, { userId: null, address: null }, seed.tenantId, runId).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'RUN_NOT_CANCELLABLE' });
        }),
      'lose worker': async () => {
        await at.endLease(runId);
        await reclaimLeases(at.reconciling());
      },
      'force cancel': () =>
        forceCancelRun(hub.db, nobody, seed.tenantId, runId).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'RUN_NOT_CANCELLABLE' });
        }),
      'restart worker': async () => {
        expect((await workers[turn % workers.length]?.register({ boot_id: newId() }))?.status).toBe(200);
      },
      'drain and resume': async () => {
        const id = workers[turn % workers.length]?.id ?? '';
        await drainWorker(hub.db, nobody, id);
        await resumeWorker(hub.db, nobody, id, hub.config.workerSilentMs);
      },
      'recall tickets': () => recallTickets(at.reconciling()),
    };
    return async (step: Step) => {
      turn += 1;
      await acts[step]();
    };
  }

  it('makes no illegal transition, at most one snapshot, and changes nothing that ended', async () => {
    await fc.assert(
      fc.asyncProperty(story, async (batches) => {
        const run = await queueBackup(hub.db, seed);
        const act = actors(run.id);
        let before = await at.row(run.id);
        for (const batch of batches) {
          await Promise.all(batch.map(act));
          const after = await at.row(run.id);
          expect(reachable(before.status)).toContain(after.status);
          expect(after.epoch).toBeGreaterThanOrEqual(before.epoch);
          expect(after.attempt).toBeGreaterThanOrEqual(before.attempt);
          expect(after.attempt - after.handed_back).toBeLessThanOrEqual(after.max_attempts);
          if (before.finished_at !== null)
            expect({ ...after, lease_expires_at: null }).toEqual({ ...before, lease_expires_at: null });
          before = after;
        }
        const snapshots = await hub.db.selectFrom('snapshots').select('id').where('run_id', '=', run.id).execute();
        const isGood = before.status === 'success' || before.status === 'warning';
        expect(snapshots.map(({ id }) => id)).toEqual(isGood ? [before.snapshot_id] : []);
        const events = await hub.db
          .selectFrom('run_events')
          .select('id')
          .where('run_id', '=', run.id)
          .orderBy('id')
          .execute();
        expect(events.map(({ id }) => id)).toEqual(Array.from({ length: before.event_count }, (_, index) => index + 1));
      }),
      { numRuns: database === 'postgres' ? 60 : 25 },
    );
  });
});
