import { newId } from '@xvault/shared/ids.ts';
import type { FileEntry } from '@xvault/shared/run-kinds.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, apiClient, itemsOf, operatorClient, tenantClient } from '../testing/api-client.ts';
import { backUp, type JobFixture, makeJob } from '../testing/fixtures.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

const entry: FileEntry = {
  path: 'docs/read me.txt',
  type: 'file',
  size_bytes: 3,
  mode: '0644',
  uid: 1000,
  gid: 1000,
  mtime: '2026-01-02T03:04:05.000000006Z',
  link_target: null,
  sha256: 'c'.repeat(64),
};

describe.each(databaseKinds)('snapshots on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let other: ScriptedWorker;
  let client: ApiClient;
  let tenantId: string;
  let job: JobFixture;
  let snapshotId: string;

  beforeAll(async () => {
    hub = await startTestHub({ database });
    worker = await scriptedWorker(hub);
    other = await scriptedWorker(hub);
    ({ client, tenantId } = await tenantClient(hub, await operatorClient(hub), 'acme', ['/srv']));
    job = await makeJob(client);
    ({ snapshotId } = await backUp(hub, client, worker, job));
  }, 180_000);
  afterAll(async () => {
    await worker.close();
    await other.close();
    await hub.close();
  });

  const restore = (body: object, headers?: Record<string, string>) =>
    client('POST', `/api/v1/snapshots/${snapshotId}/restore`, body, headers);

  /** Once the run is queued, carries it out as the scripted worker; gives what it was started with. */
  async function serve(outcome: Parameters<ScriptedWorker['finish']>[1]) {
    const queued = () =>
      hub.db
        .selectFrom('runs')
        .select('id')
        .where('kind', '=', 'probe')
        .where('status', '=', 'queued')
        .executeTakeFirst();
    let run = await queued();
    while (run === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      run = await queued();
    }
    const started = await stepsOf(hub).begin(run, worker);
    await worker.finish(started, outcome);
    return started;
  }

  it('are listed by filter and shown with locator, sizes and encryption', async () => {
    const shown = await client('GET', `/api/v1/snapshots/${snapshotId}`);
    expect(shown).toMatchObject({
      status: 200,
      body: {
        id: snapshotId,
        status: 'committed',
        source_id: job.sourceId,
        job_id: job.jobId,
        locator: { storage_backend: 'local_fs', worker_id: worker.id },
        stored_bytes: 700,
        source_bytes: 1000,
        encryption: { algorithm: 'age' },
        validation_status: 'not_run',
        verified_at: null,
      },
    });
    const ids = async (query: string) =>
      itemsOf(await client('GET', `/api/v1/snapshots?${query}`)).map((item) => item.id);
    expect(await ids(`job_id=${job.jobId}&source_id=${job.sourceId}&status=committed`)).toEqual([snapshotId]);
    expect(await ids('status=deleted')).toEqual([]);
    expect(await ids('job_id=another')).toEqual([]);
  });

  it('are restored by the worker that holds them, to an export whose link works once', async () => {
    const asked = await restore({ paths: ['docs'], target: { type: 'export', format: 'zip' } });
    expect(asked).toMatchObject({ status: 202, body: { run: { kind: 'restore', snapshot_id: snapshotId } } });
    const exportId = String(asked.body.export_id);
    const url = `/api/v1/exports/${exportId}`;
    const runId = String((asked.body.run as { id: string }).id);
    expect(asked.headers.location).toBe(`/api/v1/runs/${runId}`);
    expect(await client('POST', `${url}/link`)).toMatchObject({ status: 409, body: { code: 'EXPORT_NOT_READY' } });

    const started = await stepsOf(hub).begin({ id: runId }, worker);
    expect(await stepsOf(hub).row(runId)).toMatchObject({ required_worker_id: worker.id });
    expect(started.tenant_identities_sealed).toHaveLength(1);
    expect(started.spec).toMatchObject({ paths: ['docs'], export_id: exportId, target: { format: 'zip' } });
    const file = { size_bytes: 99, sha256: 'd'.repeat(64), file_name: 'acme.zip' };
    await worker.finish(started, outcomes.completed({ kind: 'restore', file_count: 1, bytes: 3, export: file }));
    expect((await client('GET', url)).body).toMatchObject({ status: 'ready', format: 'zip', ...file });

    const stale = await client('POST', `${url}/link`);
    const link = await client('POST', `${url}/link`);
    expect(link).toMatchObject({ status: 201, headers: { 'cache-control': 'no-store' } });
    const tokenOf = (answer: typeof link) => new URL(String(answer.body.url)).searchParams.get('token') ?? '';
    expect(String(link.body.url)).toMatch(new RegExp(`^http://127.0.0.1:9/exports/${exportId}\\?token=`));
    const claim = (by: ScriptedWorker, token: string) =>
      by.post(`/exports/${exportId}/claim`, { worker_id: by.id, link_token: token });
    const used = { status: 410, body: { code: 'EXPORT_LINK_USED' } };
    expect(await claim(worker, tokenOf(stale))).toMatchObject(used);
    expect(await claim(worker, `${tokenOf(link)}x`)).toMatchObject(used);
    expect(await claim(worker, hub.app.jwt.sign({ sub: exportId, jti: 'x' }))).toMatchObject(used);
    expect(await claim(other, tokenOf(link))).toMatchObject({ status: 404 });
    expect(await apiClient(hub.app, tokenOf(link))('GET', '/api/v1/me')).toMatchObject({ status: 401 });
    const peek = { worker_id: worker.id, link_token: tokenOf(link), consume: false };
    expect(await worker.post(`/exports/${exportId}/claim`, peek)).toMatchObject({ status: 200 });
    const claims = await Promise.all([1, 2, 3, 4].map(() => claim(worker, tokenOf(link))));
    const won = claims.filter((answer) => answer.status === 200);
    const given = { export_id: exportId, file_name: 'acme.zip', size_bytes: 99, s3: null };
    expect(won).toMatchObject([{ status: 200, body: given }]);
    expect(await worker.post(`/exports/${exportId}/claim`, peek)).toMatchObject(used);
    expect(claims.filter((answer) => answer.status === 410)).toHaveLength(3);
    expect(hub.logs()).not.toContain(tokenOf(link));

    const last = await client('POST', `${url}/link`);
    await hub.db
      .updateTable('exports')
      .set({ link_expires_at: new Date(0) })
      .where('id', '=', exportId)
      .execute();
    expect(await claim(worker, tokenOf(last))).toMatchObject(used);
    const late = await client('POST', `${url}/link`);
    await hub.db
      .updateTable('exports')
      .set({ expires_at: new Date(0) })
      .where('id', '=', exportId)
      .execute();
    expect(await claim(worker, tokenOf(late))).toMatchObject({ status: 410, body: { code: 'EXPORT_EXPIRED' } });
    expect(await client('POST', `${url}/link`)).toMatchObject({ status: 410, body: { code: 'EXPORT_EXPIRED' } });
    expect((await client('GET', url)).body).toMatchObject({ status: 'expired' });
  });

  it('are restored to a directory only where the operator allows it, once per idempotency key', async () => {
    const to = (path: string) => ({ target: { type: 'directory', path } });
    expect(await restore(to('/etc'))).toMatchObject({ status: 403, body: { code: 'PATH_NOT_ALLOWED' } });
    expect(await restore(to('/srv/../etc'))).toMatchObject({ status: 400 });
    const key = { 'idempotency-key': newId() };
    const [one, two] = [await restore(to('/srv/back'), key), await restore(to('/srv/back'), key)];
    expect(one).toMatchObject({ status: 202, body: { export_id: null } });
    expect(two.body.run).toMatchObject({ id: (one.body.run as { id: string }).id });
    expect(await restore({ target: { type: 'export' }, paths: [] })).toMatchObject({ status: 400 });
  });

  it('are validated on request', async () => {
    const asked = await client('POST', `/api/v1/snapshots/${snapshotId}/validate`);
    expect(asked).toMatchObject({ status: 202, body: { kind: 'validation', snapshot_id: snapshotId } });
    const row = await stepsOf(hub).row(String(asked.body.id));
    expect(row).toMatchObject({ required_worker_id: worker.id, job_id: job.jobId, tenant_id: tenantId });
  });

  it('have their files listed by their worker; the names do not stay in the database', async () => {
    const listed = { entries: [entry], next_offset: 7 };
    const [answer, started] = await Promise.all([
      client('GET', `/api/v1/snapshots/${snapshotId}/files?path=docs&recursive=true&offset=5&limit=2`),
      serve(outcomes.completed({ kind: 'probe', probe: { type: 'files', ...listed } })),
    ]);
    expect(answer).toMatchObject({ status: 200, body: listed });
    expect(started.spec).toMatchObject({ probe: { path: 'docs', recursive: true, offset: 5, limit: 2 } });
    expect((await stepsOf(hub).row(started.run_id)).result).toBeNull();
  });

  it('pass on why their files could not be listed', async () => {
    const [answer] = await Promise.all([
      client('GET', `/api/v1/snapshots/${snapshotId}/files`),
      serve(outcomes.failed('ARTIFACT_MISSING')),
    ]);
    expect(answer).toMatchObject({ status: 500, body: { code: 'ARTIFACT_MISSING' } });
    expect(answer.text).not.toContain('for operators');
  });

  it('say when their worker is silent, and do not wait for it', async () => {
    const seen = (at: Date) =>
      hub.db.updateTable('workers').set({ last_seen_at: at }).where('id', '=', worker.id).execute();
    await seen(new Date(Date.now() - 61_000));
    const answer = await client('GET', `/api/v1/snapshots/${snapshotId}/files`);
    expect(answer).toMatchObject({ status: 503, body: { code: 'WORKER_OFFLINE' } });
    expect(answer.headers['retry-after']).toBeDefined();
    await seen(new Date());
  });

  it('that are not committed, or whose key the platform does not hold, are not read', async () => {
    const urls = [
      ['GET', 'files'],
      ['POST', 'validate'],
      ['POST', 'restore'],
    ] as const;
    const body = { target: { type: 'export' } };
    const all = () =>
      Promise.all(
        urls.map(([method, verb]) =>
          client(method, `/api/v1/snapshots/${snapshotId}/${verb}`, verb === 'restore' ? body : undefined),
        ),
      );
    await hub.db.updateTable('snapshots').set({ status: 'corrupt' }).where('id', '=', snapshotId).execute();
    const unavailable = { status: 409, body: { code: 'SNAPSHOT_UNAVAILABLE' } };
    expect(await all()).toMatchObject([unavailable, unavailable, unavailable]);
    await hub.db.updateTable('snapshots').set({ status: 'committed' }).where('id', '=', snapshotId).execute();
    await hub.db.updateTable('tenants').set({ identity_sealed: null }).where('id', '=', tenantId).execute();
    await hub.db.updateTable('tenant_keys').set({ identity_sealed: null }).where('tenant_id', '=', tenantId).execute();
    const keyless = { status: 409, body: { code: 'TENANT_KEY_UNAVAILABLE' } };
    // What is stored can be verified without a key.
    expect(await all()).toMatchObject([keyless, { status: 202 }, keyless]);
  });
});

describe('listing files', () => {
  it('gives up when the worker takes too long, and cancels the run', async () => {
    const hub = await startTestHub({ config: { filesTimeoutMs: 200 } });
    const worker = await scriptedWorker(hub);
    try {
      const { client } = await tenantClient(hub, await operatorClient(hub), 'acme', ['/srv']);
      const { snapshotId } = await backUp(hub, client, worker, await makeJob(client));
      const answer = await client('GET', `/api/v1/snapshots/${snapshotId}/files`);
      expect(answer).toMatchObject({ status: 503, body: { code: 'SERVICE_UNAVAILABLE' } });
      const runs = await hub.db.selectFrom('runs').select('status').where('kind', '=', 'probe').execute();
      expect(runs).toEqual([{ status: 'cancelled' }]);
    } finally {
      await worker.close();
      await hub.close();
    }
  });
});
