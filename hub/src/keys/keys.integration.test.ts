import { generateKeyPair, unseal } from '@xvault/shared/sealing.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { backUp, type JobFixture, makeJob } from '../testing/fixtures.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

interface Key {
  readonly recipient: string;
  readonly type: string;
  readonly held_by: string;
  readonly snapshots: number;
}
interface Keys {
  readonly present: Key;
  readonly extra_recipients: readonly Key[];
  readonly earlier: readonly Key[];
  readonly snapshots_to_rewrap: number;
}

describe.each(databaseKinds)('keys of a tenant on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let operator: ApiClient;
  let count = 0;
  beforeAll(async () => {
    hub = await startTestHub({ database });
    operator = await operatorClient(hub);
    // Some runs are left open, and take places.
    worker = await scriptedWorker(hub, { slots: 50 });
  }, 180_000);
  afterAll(async () => {
    await worker.close();
    await hub.close();
  });

  interface Customer {
    readonly client: ApiClient;
    readonly tenantId: string;
    readonly job: JobFixture;
  }
  async function customer(): Promise<Customer> {
    count += 1;
    const { client, tenantId } = await tenantClient(hub, operator, `keys-${count}`, ['/srv']);
    return { client, tenantId, job: await makeJob(client) };
  }
  const keysOf = async ({ client }: Customer): Promise<Keys> =>
    (await client('GET', '/api/v1/tenant/keys')).body as unknown as Keys;
  const snapshotOf = async ({ client, job }: Customer) => (await backUp(hub, client, worker, job)).snapshotId;

  it('shows the key that was made with the tenant, kept by the platform', async () => {
    const own = await customer();
    expect(await keysOf(own)).toMatchObject({
      present: { type: 'x25519', held_by: 'platform', retired_at: null, snapshots: 0 },
      extra_recipients: [],
      earlier: [],
      snapshots_to_rewrap: 0,
    });
  });

  it('makes a tenant with a post-quantum key when told to', async () => {
    const made = await operator('POST', '/api/v1/tenants', { name: 'quantum', key_type: 'post_quantum' });
    expect(made.body.recipient).toMatch(/^age1pq1/);
  });

  it('rotates to a new key that only the vault opens; the earlier one stays for what it encrypted', async () => {
    const own = await customer();
    const before = await keysOf(own);
    await snapshotOf(own);
    const { status } = await own.client('POST', '/api/v1/tenant/keys/rotate', { type: 'post_quantum' });
    expect(status).toBe(200);
    const after = await keysOf(own);
    expect(after.present).toMatchObject({ type: 'post_quantum', held_by: 'platform', snapshots: 0 });
    expect(after.earlier).toMatchObject([{ recipient: before.present.recipient, held_by: 'platform', snapshots: 1 }]);
    expect(after.snapshots_to_rewrap).toBe(1);
    const row = await hub.db
      .selectFrom('tenant_keys')
      .selectAll()
      .where('recipient', '=', after.present.recipient)
      .executeTakeFirstOrThrow();
    expect(await unseal(row.identity_sealed ?? '', [hub.vault.identity])).toMatch(/^AGE-SECRET-KEY-PQ-1/);
    expect(hub.logs()).not.toContain('AGE-SECRET-KEY');
    // New snapshots use it.
    await snapshotOf(own);
    expect((await keysOf(own)).present.snapshots).toBe(1);
  });

  it('takes a key that only the customer has: snapshots before it stay readable, those after do not', async () => {
    const own = await customer();
    const old = await snapshotOf(own);
    const { recipient } = await generateKeyPair();
    const extra = (await generateKeyPair()).recipient;
    const body = { recipient, extra_recipients: [extra] };
    expect((await own.client('PUT', '/api/v1/tenant/keys/customer', body)).status).toBe(200);
    const young = await snapshotOf(own);
    expect(await keysOf(own)).toMatchObject({
      present: { recipient, held_by: 'customer', snapshots: 1 },
      extra_recipients: [{ recipient: extra, snapshots: 1 }],
    });
    const target = { target: { type: 'export' } };
    expect((await own.client('POST', `/api/v1/snapshots/${old}/restore`, target)).status).toBe(202);
    expect((await own.client('POST', `/api/v1/snapshots/${young}/restore`, target)).body.code).toBe(
      'TENANT_KEY_UNAVAILABLE',
    );
    const validate = await own.client('POST', `/api/v1/snapshots/${young}/validate`, { level: 'quick' });
    expect(validate.status).toBe(202);
    const { spec } = await stepsOf(hub).row(String(validate.body.id));
    expect(spec).toMatchObject({ level: 'quick', opened: false });
  });

  it('refuses recipients that are none, that are mixed, that repeat, or that the platform has', async () => {
    const own = await customer();
    const quantum = (await generateKeyPair('post_quantum')).recipient;
    const { recipient } = await generateKeyPair();
    const { present } = await keysOf(own);
    const bad: [string, object][] = [
      ['customer', { recipient: 'age1nonsense' }],
      ['customer', { recipient: `${recipient.slice(0, -1)}${recipient.endsWith('q') ? 'p' : 'q'}` }],
      ['customer', { recipient: 'ssh-ed25519 AAAA' }],
      ['customer', { recipient: present.recipient }],
      ['customer', { recipient, extra_recipients: [quantum] }],
      ['customer', { recipient, extra_recipients: [recipient] }],
      ['extra-recipients', { recipients: [quantum] }],
      ['extra-recipients', { recipients: [present.recipient] }],
    ];
    for (const [path, body] of bad) {
      const answer = await own.client('PUT', `/api/v1/tenant/keys/${path}`, body);
      expect([body, answer.status, answer.body.code]).toEqual([body, 400, 'BAD_REQUEST']);
      expect(answer.body.errors, JSON.stringify(body)).toBeDefined();
    }
    await own.client('PUT', '/api/v1/tenant/keys/extra-recipients', { recipients: [recipient] });
    const rotated = await own.client('POST', '/api/v1/tenant/keys/rotate', { type: 'post_quantum' });
    expect(rotated.status).toBe(400);
    expect((await keysOf(own)).present).toEqual(present);
  });

  it('rewraps: one run for each snapshot, committed only as a copy of what is there, the old copy removed after', async () => {
    const own = await customer();
    const snapshotId = await snapshotOf(own);
    await own.client('POST', '/api/v1/tenant/keys/rotate', {});
    const { present, earlier } = await keysOf(own);
    const [first, again] = [
      await own.client('POST', '/api/v1/tenant/keys/rewrap'),
      await own.client('POST', '/api/v1/tenant/keys/rewrap'),
    ];
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.body).toEqual({ run_ids: [], unreadable: 0, more: false });
    const [runId] = first.body.run_ids as string[];
    // Nothing is queued for a snapshot that is being deleted or for one that is being rewrapped.
    const started = await stepsOf(hub).begin({ id: runId ?? '' }, worker);
    if (started.spec.kind !== 'maintenance') throw new Error('not a maintenance');
    expect(started.spec.task.recipients).toEqual([present.recipient]);
    expect(started.tenant_identities_sealed).toHaveLength(2);
    const old = started.spec.task.snapshot.locator;
    if (old.storage_backend !== 'local_fs') throw new Error('not local');
    const task = {
      type: 'rewrap' as const,
      locator: { ...old, local_path: old.local_path.replace(snapshotId, started.snapshot_id ?? '') },
      artifact_bytes: 601,
      artifact_sha256: '1'.repeat(64),
      index_bytes: 101,
      index_sha256: '2'.repeat(64),
      manifest_bytes: 51,
      manifest_sha256: '3'.repeat(64),
      encryption: { algorithm: 'age' as const, recipients: [present.recipient] },
    };
    const finished = await worker.finish(started, outcomes.completed({ kind: 'maintenance', task }));
    expect(finished.body).toEqual({ run_status: 'success' });
    const shown = await own.client('GET', `/api/v1/snapshots/${snapshotId}`);
    expect(shown.body).toMatchObject({
      status: 'committed',
      stored_bytes: 702,
      artifact_sha256: '1'.repeat(64),
      locator: { local_path: task.locator.local_path },
      encryption: { recipients: [present.recipient] },
    });
    const removal = await hub.db
      .selectFrom('runs')
      .selectAll()
      .where('tenant_id', '=', own.tenantId)
      .where('kind', '=', 'retention')
      .executeTakeFirstOrThrow();
    expect(removal).toMatchObject({ snapshot_id: null, not_before: null, spec: { snapshot: { locator: old } } });
    // Neither copy is litter to the sweeper: the new one is the snapshot, the old one has its run.
    const items = [snapshotId, started.snapshot_id].map((id) => ({ snapshot_id: id, epoch: null }));
    const live = await worker.post('/storage/live', { worker_id: worker.id, items });
    expect(live.body).toEqual({ removable: [] });
    // Only now may the earlier key be forgotten.
    const forgotten = await own.client('POST', '/api/v1/tenant/keys/forget', { recipient: earlier[0]?.recipient });
    expect(forgotten.body).toMatchObject({ earlier: [{ held_by: 'customer', snapshots: 0 }], snapshots_to_rewrap: 0 });
    const refused = await own.client('POST', '/api/v1/tenant/keys/forget', { recipient: present.recipient });
    expect(refused.body.code).toBe('CONFLICT');
  });

  it('keeps the old copy for a day while another run may still read it', async () => {
    const own = await customer();
    const snapshotId = await snapshotOf(own);
    await own.client('POST', '/api/v1/tenant/keys/rotate', {});
    const { body } = await own.client('POST', '/api/v1/tenant/keys/rewrap');
    const started = await stepsOf(hub).begin({ id: String((body.run_ids as string[])[0]) }, worker);
    await own.client('POST', `/api/v1/snapshots/${snapshotId}/restore`, { target: { type: 'export' } });
    const finished = await worker.finish(started, outcomes.completed(copyOf(started)));
    expect(finished.body).toEqual({ run_status: 'success' });
    const removal = await hub.db
      .selectFrom('runs')
      .select('not_before')
      .where('tenant_id', '=', own.tenantId)
      .where('kind', '=', 'retention')
      .executeTakeFirstOrThrow();
    expect(Number(removal.not_before) - Date.now()).toBeGreaterThan(23 * 3_600_000);
  });

  it('does not commit a copy of what the snapshot no longer is, nor one that is not what was asked for', async () => {
    const own = await customer();
    const snapshotId = await snapshotOf(own);
    await own.client('POST', '/api/v1/tenant/keys/rotate', {});
    const rewrap = async () => {
      const { body } = await own.client('POST', '/api/v1/tenant/keys/rewrap');
      return stepsOf(hub).begin({ id: String((body.run_ids as string[])[0]) }, worker);
    };
    const first = await rewrap();
    const wrong = copyOf(first);
    const asked = {
      ...wrong,
      task: { ...wrong.task, encryption: { algorithm: 'age' as const, recipients: ['age1other'] } },
    };
    // Taken for a fault of the worker's: another attempt follows.
    expect((await worker.finish(first, outcomes.completed(asked))).body).toEqual({ run_status: 'queued' });
    await own.client('POST', `/api/v1/runs/${first.run_id}/cancel`);
    const second = await rewrap();
    await hub.db
      .updateTable('snapshots')
      .set({ artifact_sha256: '9'.repeat(64) })
      .where('id', '=', snapshotId)
      .execute();
    const finished = await worker.finish(second, outcomes.completed(copyOf(second)));
    expect(finished.body).toEqual({ run_status: 'failed' });
    expect(await stepsOf(hub).row(second.run_id)).toMatchObject({ error_code: 'SNAPSHOT_UNAVAILABLE' });
    // The copy is litter now.
    const items = [{ snapshot_id: second.snapshot_id, epoch: null }];
    const live = await worker.post('/storage/live', { worker_id: worker.id, items });
    expect(live.body).toEqual({ removable: items });
  });

  it('says how many snapshots it has no key for', async () => {
    const own = await customer();
    await own.client('PUT', '/api/v1/tenant/keys/customer', { recipient: (await generateKeyPair()).recipient });
    await snapshotOf(own);
    await own.client('POST', '/api/v1/tenant/keys/rotate', { type: 'x25519' });
    const { body } = await own.client('POST', '/api/v1/tenant/keys/rewrap');
    expect(body).toEqual({ run_ids: [], unreadable: 1, more: false });
  });

  function copyOf(started: Awaited<ReturnType<ReturnType<typeof stepsOf>['begin']>>) {
    if (started.spec.kind !== 'maintenance') throw new Error('not a maintenance');
    const { snapshot, recipients } = started.spec.task;
    if (snapshot.locator.storage_backend !== 'local_fs') throw new Error('not local');
    const local_path = snapshot.locator.local_path.replace(/[^/]+$/, started.snapshot_id ?? '');
    const task = {
      type: 'rewrap' as const,
      locator: { ...snapshot.locator, local_path },
      artifact_bytes: snapshot.artifact_bytes,
      artifact_sha256: '1'.repeat(64),
      index_bytes: snapshot.index_bytes,
      index_sha256: '2'.repeat(64),
      manifest_bytes: 50,
      manifest_sha256: '3'.repeat(64),
      encryption: { algorithm: 'age' as const, recipients },
    };
    return { kind: 'maintenance' as const, task };
  }
});
