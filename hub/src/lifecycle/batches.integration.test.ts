import { newId } from '@xvault/shared/ids.ts';
import type { FinishRequest } from '@xvault/shared/internal-api.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WorkerRow } from '../db/schema.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { backupSpec, probeSpec, queueBackup, queueProbe, type Seed, seedTenant } from '../testing/run-fixtures.ts';
import { type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { createRunMaker } from './create-run.ts';
import { createFinisher } from './finish.ts';
import { createStarter } from './start.ts';

const seen = {
  type: 'source' as const,
  host_key: null,
  server: 'test',
  entry_names: ['a'],
  latency_ms: 1,
  measure: null,
  details: {},
};

function wellDone(started: { epoch: number; lease_token: string }): FinishRequest {
  const result = { kind: 'probe' as const, probe: seen };
  const outcome = { status: 'completed' as const, result, warnings: 0, log_excerpt: null };
  return { epoch: started.epoch, lease_token: started.lease_token, progress: null, events: [], outcome };
}

describe.each(databaseKinds)('runs that are handled together, on %s', (database) => {
  let hub: TestHub;
  let scripted: ScriptedWorker;
  let worker: WorkerRow;
  let seed: Seed;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { tenantMaxRuns: 1000 } });
    scripted = await scriptedWorker(hub, { slots: 50 });
    worker = await hub.db.selectFrom('workers').selectAll().executeTakeFirstOrThrow();
    seed = await seedTenant(hub.db);
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await scripted?.close();
    await hub?.close();
  });

  it('are made with first event and audit; one that cannot be made hinders no other', async () => {
    const make = createRunMaker(hub.db);
    const actor = { userId: null, address: '192.0.2.1' };
    const probe = (sourceId: string) => {
      const run = { tenantId: seed.tenantId, kind: 'probe' as const, trigger: 'manual' as const, sourceId };
      const entry = { tenantId: seed.tenantId, action: 'source.probe', objectType: 'source', objectId: sourceId };
      return make({ run: { ...run, spec: probeSpec(seed) }, audit: { actor, entry } });
    };
    const ends = await Promise.allSettled([seed.sourceId, newId(), seed.sourceId].map(probe));
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const rows = await hub.db.selectFrom('runs').selectAll().orderBy('id').execute();
    expect(rows).toMatchObject([{ status: 'queued' }, { status: 'queued' }]);
    for (const row of rows) expect(await steps.events(row.id)).toEqual(['run_queued']);
    const audits = await hub.db.selectFrom('audit_log').selectAll().where('action', '=', 'source.probe').execute();
    expect(audits.map(({ details }) => details?.run_id).toSorted()).toEqual(rows.map(({ id }) => id));
    expect(audits[0]).toMatchObject({ object_id: seed.sourceId, address: '192.0.2.1', tenant_id: seed.tenantId });
  });

  it('are made once, when the answer to the first try was lost', async () => {
    const make = createRunMaker(hub.db);
    const id = newId();
    const run = { id, tenantId: seed.tenantId, kind: 'backup' as const, trigger: 'manual' as const };
    const toMake = { run: { ...run, spec: backupSpec(seed) }, audit: null };
    expect((await make(toMake)).id).toBe(id);
    expect((await make(toMake)).id).toBe(id);
    expect(await steps.events(id)).toEqual(['run_queued']);
  });

  it('begin and end together: each gets its own answer, also asked again, also the stale and the strange', async () => {
    const [start, finish] = [createStarter(hub.db, hub.config), createFinisher(hub.db, hub.config)];
    const probes = await Promise.all(Array.from({ length: 8 }, () => queueProbe(hub.db, seed)));
    const backup = await queueBackup(hub.db, seed);
    await steps.dispatch();
    const asked = [...probes, backup].map(({ id }, number) => ({ runId: id, nonce: `nonce-of-the-run-${number}` }));
    const ask = (one: { runId: string; nonce: string }, attempt = 1) => start({ ...one, worker, attempt });
    const strange = { runId: newId(), nonce: 'nonce-of-a-stranger' };
    const stale = ask({ runId: backup.id, nonce: 'nonce-of-a-stale-one' }, 7);
    const [first, refused] = await Promise.all([
      Promise.all(asked.map((one) => ask(one))),
      Promise.allSettled([ask(strange), stale]),
    ]);
    expect(refused).toMatchObject([
      { status: 'rejected', reason: { code: 'ATTEMPT_SUPERSEDED' } },
      { status: 'rejected', reason: { code: 'ATTEMPT_SUPERSEDED' } },
    ]);
    expect(first.map((answer) => answer.run_id)).toEqual(asked.map(({ runId }) => runId));
    expect(first.at(-1)?.snapshot_id).not.toBeNull();
    expect(await Promise.all(asked.map((one) => ask(one)))).toEqual(first);
    expect(new Set(first.map((answer) => answer.lease_token)).size).toBe(first.length);

    const good = first.slice(0, 8);
    const [spoilt] = good;
    const end = (answer: (typeof good)[number], request = wellDone(answer)) =>
      finish({ runId: answer.run_id, workerId: worker.id, request });
    const wrong = finish({
      runId: spoilt?.run_id ?? '',
      workerId: worker.id,
      request: wellDone({ epoch: 1, lease_token: 'another' }),
    });
    const [ends, wrongEnd] = await Promise.all([Promise.all(good.map((one) => end(one))), Promise.allSettled([wrong])]);
    expect(wrongEnd).toMatchObject([{ status: 'rejected', reason: { code: 'ATTEMPT_SUPERSEDED' } }]);
    expect(ends).toEqual(good.map(() => ({ run_status: 'success' })));
    expect(await Promise.all(good.map((one) => end(one)))).toEqual(ends);
    for (const { run_id } of good) {
      expect(await steps.events(run_id)).toEqual(['run_queued', 'run_started', 'run_succeeded']);
      expect(await steps.row(run_id)).toMatchObject({
        status: 'success',
        lease_token_hash: null,
        progress_pct: 100,
        event_count: 3,
        result: { kind: 'probe', probe: { server: 'test' } },
      });
    }
    const attempts = await hub.db
      .selectFrom('run_attempts')
      .selectAll()
      .where('run_id', '=', good[0]?.run_id ?? '')
      .execute();
    expect(attempts).toMatchObject([{ outcome: 'completed', run_status: 'success', ended_at: expect.any(Date) }]);
    const source = await hub.db.selectFrom('sources').selectAll().where('id', '=', seed.sourceId).executeTakeFirst();
    expect(source?.last_probe).toMatchObject({ ok: true, server: 'test' });
    expect((await steps.row(backup.id)).status).toBe('running');
  });
});
