import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hashPassword } from '../auth/password.ts';
import { insertMembership, insertUser } from '../auth/users.repository.ts';
import { findRemovable } from '../internal/storage-live.ts';
import { type ApiClient, operatorClient, signedIn, tenantClient, testPassword } from '../testing/api-client.ts';
import { backUp, type JobFixture, makeJob } from '../testing/fixtures.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

describe.each(databaseKinds)('deleting snapshots on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let operator: ApiClient;
  let client: ApiClient;
  let tenantId: string;
  let job: JobFixture;
  let steps: ReturnType<typeof stepsOf>;
  /** Of one source, the older first. */
  let snapshots: string[];

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0 } });
    worker = await scriptedWorker(hub);
    operator = await operatorClient(hub);
    ({ client, tenantId } = await tenantClient(hub, operator, 'acme', ['/srv']));
    steps = stepsOf(hub);
  });
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });
  beforeEach(async () => {
    job = await makeJob(client);
    snapshots = [];
    for (let count = 0; count < 2; count += 1) {
      snapshots.push((await backUp(hub, client, worker, job)).snapshotId);
    }
  });
  const [older, newer] = [() => snapshots[0] ?? '', () => snapshots[1] ?? ''];
  const remove = (id: string, by = client, query = '') =>
    by('DELETE', `/api/v1/snapshots/${id}${query}`, undefined, by === operator ? { 'x-xvault-tenant': tenantId } : {});
  const statusOf = async (id: string) => (await client('GET', `/api/v1/snapshots/${id}`)).body.status;
  const done = outcomes.completed({ kind: 'retention' });

  it('queues a run for the worker that holds it, and the end of that run is the end of the snapshot', async () => {
    const answer = await remove(older());
    expect(answer).toMatchObject({ status: 202, body: { kind: 'retention', snapshot_id: older() } });
    expect(await statusOf(older())).toBe('deleting');
    expect((await remove(older())).body.id).toBe(answer.body.id);
    expect((await client('POST', `/api/v1/snapshots/${older()}/validate`)).status).toBe(409);

    const started = await steps.begin({ id: String(answer.body.id) }, worker);
    expect(started).toMatchObject({ kind: 'retention', tenant_identities_sealed: [], source_secret_sealed: null });
    expect(await worker.takeTicket('own')).toMatchObject({ runId: started.run_id, kind: 'retention' });
    expect((await worker.finish(started, done)).body.run_status).toBe('success');
    expect(await statusOf(older())).toBe('deleted');
    expect((await remove(older())).status).toBe(204);
    const litter = [{ snapshot_id: older(), epoch: null }];
    expect(await findRemovable(hub.db, worker.id, litter)).toEqual(litter);
  });

  it('is tried again by the platform, and after the last attempt by asking again', async () => {
    const first = await remove(older());
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const started = await steps.begin({ id: String(first.body.id) }, worker);
      await worker.finish(started, outcomes.failed('STORAGE_FAILED'));
      await steps.endBackoff(started.run_id);
    }
    expect((await steps.row(String(first.body.id))).status).toBe('failed');
    expect(await statusOf(older())).toBe('deleting');
    const second = await remove(older());
    expect(second.body.id).not.toBe(first.body.id);
    await worker.finish(await steps.begin({ id: String(second.body.id) }, worker), done);
    expect(await statusOf(older())).toBe('deleted');
  });

  it('never takes the last good one of a source, unless an operator of the platform forces it', async () => {
    await worker.finish(await steps.begin({ id: String((await remove(older())).body.id) }, worker), done);
    expect(await remove(newer())).toMatchObject({ status: 409, body: { code: 'SNAPSHOT_LAST' } });
    expect((await remove(newer(), client, '?force=true')).status).toBe(403);
    expect(await statusOf(newer())).toBe('committed');
    expect((await remove(newer(), operator, '?force=true')).status).toBe(202);
  });

  it('never leaves a source without one, however many are deleted at once', async () => {
    const answers = await Promise.all(snapshots.map((id) => remove(id)));
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 409]);
  });

  it('counts only good ones: a damaged one may go, and does not stand in for the last', async () => {
    await hub.db.updateTable('snapshots').set({ status: 'corrupt' }).where('id', '=', older()).execute();
    expect((await remove(newer())).body.code).toBe('SNAPSHOT_LAST');
    expect((await remove(older())).status).toBe(202);
  });

  it('never takes a locked one, whoever asks', async () => {
    const lock = (until: Date) =>
      hub.db.updateTable('snapshots').set({ locked_until: until }).where('id', '=', older()).execute();
    await lock(new Date(Date.now() + 60_000));
    expect(await remove(older())).toMatchObject({ status: 409, body: { code: 'SNAPSHOT_LOCKED' } });
    expect((await remove(older(), operator, '?force=true')).body.code).toBe('SNAPSHOT_LOCKED');
    await lock(new Date(Date.now() - 1000));
    expect((await remove(older())).status).toBe(202);
  });

  it('waits for those who read it', async () => {
    const validation = await client('POST', `/api/v1/snapshots/${older()}/validate`);
    expect(await remove(older())).toMatchObject({ status: 409, body: { code: 'CONFLICT' } });
    await client('POST', `/api/v1/runs/${validation.body.id}/cancel`);
    expect((await remove(older())).status).toBe(202);
  });

  it('is for owners and admins of the tenant', async () => {
    const passwordHash = await hashPassword(testPassword);
    const email = `${older()}@example.com`;
    await insertUser(hub.db, { id: older(), email, passwordHash, platformRole: null });
    await insertMembership(hub.db, tenantId, older(), 'operator');
    expect((await remove(older(), await signedIn(hub, email, testPassword))).status).toBe(403);
    const stranger = (await tenantClient(hub, operator, `other-${older()}`)).client;
    expect((await remove(older(), stranger)).status).toBe(404);
  });
});
