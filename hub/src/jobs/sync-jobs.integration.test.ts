import { newId } from '@xvault/shared/ids.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import type { SnapshotResult } from '@xvault/shared/snapshots.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { made } from '../testing/fixtures.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

const s3 = { endpoint: 'https://s3.example.com', bucket: 'copies' };
const keys = { access_key_id: 'an-id', secret_access_key: 'a-secret' };

describe.each(databaseKinds)('jobs of the sync engine, on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let operator: ApiClient;
  let client: ApiClient;
  let tenantId: string;
  let sourceId: string;
  let destinationId: string;
  let steps: ReturnType<typeof stepsOf>;

  beforeAll(async () => {
    hub = await startTestHub({ database, config: { retryBaseMs: 0 } });
    worker = await scriptedWorker(hub, { slots: 50 });
    steps = stepsOf(hub);
    operator = await operatorClient(hub);
    ({ client, tenantId } = await tenantClient(hub, operator, 'acme', ['/srv']));
    sourceId = await made(client('POST', '/api/v1/sources', { type: 'local', name: 's', config: { path: '/srv/a' } }));
    const destination = { type: 's3', name: 'd', config: s3, secret: keys };
    destinationId = await made(client('POST', '/api/v1/destinations', destination));
  }, 180_000);
  afterAll(async () => {
    await worker?.close();
    await hub?.close();
  });

  const bodyOf = (more: object = {}) => {
    return { name: 'copy', engine: 'sync', source_id: sourceId, destination_id: destinationId, sync: {}, ...more };
  };
  const job = (more: object = {}) => made(client('POST', '/api/v1/jobs', bodyOf(more)));
  const jobRow = (id: string) => hub.db.selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const status = async (snapshotId: string) => (await client('GET', `/api/v1/snapshots/${snapshotId}`)).body.status;

  async function begin(jobId: string): Promise<StartResponse> {
    const id = await made(client('POST', `/api/v1/jobs/${jobId}/runs`));
    return steps.begin({ id }, worker);
  }

  let epoch = 0;
  function versionOf(started: StartResponse): SnapshotResult {
    if (started.spec.kind !== 'backup') throw new Error('no backup');
    epoch += 1;
    const { job_id: jobId, sync } = started.spec;
    const prefix = `tenants/${tenantId}/sources/${started.spec.source_id}/sync/${jobId}`;
    const version = `${String(epoch).padStart(8, '0')}-1`;
    const [hash, bytes] = ['c'.repeat(64), 10];
    return {
      snapshot_id: started.snapshot_id ?? '',
      locator: { storage_backend: 'rclone', worker_id: null, prefix, version },
      entry_count: 2,
      file_count: 2,
      source_bytes: 100,
      tar_bytes: 0,
      stored_bytes: 100,
      artifact_bytes: bytes,
      artifact_sha256: hash,
      index_bytes: bytes,
      index_sha256: hash,
      manifest_bytes: bytes,
      manifest_sha256: hash,
      encryption: { algorithm: sync?.encryption === true ? 'rclone-crypt' : 'none', recipients: [] },
    };
  }
  async function backUp(jobId: string): Promise<SnapshotResult> {
    const started = await begin(jobId);
    const snapshot = versionOf(started);
    const { body } = await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }));
    expect(body.run_status).toBe('success');
    return snapshot;
  }

  it('keeps options as they were given and hands out the key sealed, to the worker alone', async () => {
    const sync = { mode: 'copy', encryption: true, exclude: ['*.tmp'], max_delete_percent: 10 };
    const crypt = { password: 'a password of sixteen', salt: 'a salt of sixteen letters' };
    const answer = await client('POST', '/api/v1/jobs', bodyOf({ sync, crypt }));
    expect(answer).toMatchObject({ status: 201, body: { engine: 'sync', sync: { ...sync, transfers: 4 } } });
    expect(answer.text).not.toContain('password');
    const id = String(answer.body.id);
    expect((await client('GET', `/api/v1/jobs/${id}`)).body.sync).toEqual(answer.body.sync);
    const patched = await client('PATCH', `/api/v1/jobs/${id}`, { sync: { ...sync, transfers: 8 } });
    expect(patched).toMatchObject({ status: 200, body: { sync: { transfers: 8 } } });
    const refused = await client('PATCH', `/api/v1/jobs/${id}`, { sync: { ...sync, encryption: false } });
    expect(refused).toMatchObject({ status: 400, body: { errors: [{ path: 'sync.encryption' }] } });
    const bad = await client('PATCH', `/api/v1/jobs/${id}`, { sync: { ...sync, include: ['a\\'] } });
    expect(bad).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST', errors: [{ path: 'sync.include.0' }] } });
    const started = await begin(id);
    expect(started.spec).toMatchObject({ engine: 'sync', sync: { transfers: 8 } });
    expect(started.job_secret_sealed).toBe((await jobRow(id)).secret_sealed);
    expect(started.job_secret_sealed).not.toBeNull();
    await worker.finish(started, outcomes.failed('ARTIFACT_CORRUPT'));
  });

  it.each([
    ['options are missing', { sync: undefined }, 'sync'],
    ['a mirror is not confirmed', { sync: { mode: 'mirror' } }, 'sync.mirror_confirmed'],
    ['a key without encryption', { crypt: { password: 'x'.repeat(16), salt: 'y'.repeat(16) } }, 'crypt'],
    ['pattern is never closed', { sync: { exclude: ['*.log', '[a'] } }, 'sync.exclude.1'],
    ['pattern takes back in beside an include', { sync: { include: ['/a'], exclude: ['!b'] } }, 'sync.exclude.0'],
    ['options of a sync for an archive', { engine: 'archive' }, 'sync'],
  ])('refuses a job whose %s', async (_, more, path) => {
    expect(await client('POST', '/api/v1/jobs', bodyOf(more))).toMatchObject({
      status: 400,
      body: { errors: [{ path }] },
    });
  });

  it('marks the earlier versions of a mirror as deleted in the moment that a later one is there', async () => {
    const mirror = await job({ sync: { mode: 'mirror', mirror_confirmed: true } });
    const other = await job();
    const [first, kept] = [await backUp(mirror), await backUp(other)];
    expect(await status(first.snapshot_id)).toBe('committed');
    const second = await backUp(mirror);
    expect([await status(first.snapshot_id), await status(second.snapshot_id)]).toEqual(['deleted', 'committed']);
    expect(await status(kept.snapshot_id)).toBe('committed');
    await backUp(other);
    expect(await status(kept.snapshot_id)).toBe('committed');
  });

  it('follows a version with its validation, whose verdict is kept', async () => {
    const id = await job({ sync: { encryption: true }, validation_mode: 'post_run', validation_level: 'quick' });
    const version = await backUp(id);
    const validation = await hub.db
      .selectFrom('runs')
      .selectAll()
      .where('snapshot_id', '=', version.snapshot_id)
      .where('kind', '=', 'validation')
      .executeTakeFirstOrThrow();
    const started = await steps.begin(validation, worker);
    expect(started.spec).toMatchObject({ opened: true, level: 'quick', snapshot: { engine: 'sync', job_id: id } });
    expect(started.job_secret_sealed).toBe((await jobRow(id)).secret_sealed);
    const found = { files_checked: 1, bytes_checked: 1, differing: ['a'], error_code: 'SYNC_VERSION_BROKEN' };
    await worker.finish(started, outcomes.completed({ kind: 'validation', verdict: 'failed', ...found }));
    expect((await client('GET', `/api/v1/snapshots/${version.snapshot_id}`)).body).toMatchObject({
      status: 'corrupt',
      validation_status: 'failed',
    });
  });

  it('restores versions to sources, directories and exports, and to nothing else', async () => {
    const { snapshot_id: id } = await backUp(await job());
    const restore = (target: object) => client('POST', `/api/v1/snapshots/${id}/restore`, { target });
    const smb = {
      type: 'smb',
      name: 'share',
      config: { host: 'nas', user: 'u', share: 'data' },
      secret: { password: 'p' },
    };
    const share = await made(client('POST', '/api/v1/sources', smb));
    for (const target of [
      { type: 'export', format: 'zip' },
      { type: 'directory', path: '/srv/back' },
      { type: 'source', overwrite: 'rename' },
      { type: 'source', source_id: share, path: '/back' },
    ]) {
      expect((await restore(target)).status, JSON.stringify(target)).toBe(202);
    }
    const mysql = { type: 'mysql', name: 'm', config: { host: 'db', user: 'u' }, secret: { password: 'p' } };
    const database = await made(client('POST', '/api/v1/sources', mysql));
    for (const target of [
      { type: 'export', format: 'encrypted' },
      { type: 'database', source_id: database },
      { type: 'source', source_id: database },
    ]) {
      expect(await restore(target), JSON.stringify(target)).toMatchObject({
        body: { code: 'RESTORE_TARGET_UNSUPPORTED' },
      });
    }
    expect(await restore({ type: 'directory', path: '/etc' })).toMatchObject({ body: { code: 'PATH_NOT_ALLOWED' } });
  });

  it('names the versions that stay when one goes, and keeps the key until the last has gone', async () => {
    const id = await job({ sync: { encryption: true } });
    const [one, two] = [await backUp(id), await backUp(id)];
    const remove = async ({ snapshot_id }: SnapshotResult) => {
      const { body, text } = await operator('DELETE', `/api/v1/snapshots/${snapshot_id}?force=true`, undefined, {
        'x-xvault-tenant': tenantId,
      });
      if (body.id === undefined) throw new Error(text);
      const started = await steps.begin({ id: String(body.id) }, worker);
      await worker.finish(started, outcomes.completed({ kind: 'retention' }));
      return started;
    };
    expect((await client('DELETE', `/api/v1/jobs/${id}`)).status).toBe(204);
    const key = (await jobRow(id)).secret_sealed;
    expect(key).not.toBeNull();
    const first = await remove(one);
    expect(first.spec).toMatchObject({
      keep_versions: [two.locator.storage_backend === 'rclone' && two.locator.version],
    });
    expect(first.job_secret_sealed).toBe(key);
    expect((await jobRow(id)).secret_sealed).toBe(key);
    await remove(two);
    expect((await jobRow(id)).secret_sealed).toBeNull();
  });

  it('forgets the key of a deleted job that has made nothing', async () => {
    const id = await job({ sync: { encryption: true } });
    expect((await client('DELETE', `/api/v1/jobs/${id}`)).status).toBe(204);
    expect((await jobRow(id)).secret_sealed).toBeNull();
  });

  describe('by a connection', () => {
    let connectionId: string;
    let cloudId: string;

    beforeAll(async () => {
      connectionId = newId();
      const row = { tenant_id: tenantId, provider: 'dropbox' as const, name: 'c', token_sealed: 'sealed-1' };
      await hub.db
        .insertInto('connections')
        .values({ id: connectionId, ...row })
        .execute();
      const body = { type: 'dropbox', name: 'cloud', config: { connection_id: connectionId } };
      cloudId = await made(client('POST', '/api/v1/sources', body));
    });
    const rowNow = () =>
      hub.db.selectFrom('connections').selectAll().where('id', '=', connectionId).executeTakeFirstOrThrow();
    const notes = (started: StartResponse, body: object) =>
      worker.post<{ generation?: number }>(`/runs/${started.run_id}/notes`, {
        epoch: started.epoch,
        lease_token: started.lease_token,
        ...body,
      });
    const renewed = (generation: number, token: string) => ({
      connection: {
        status: 'active',
        connection_id: connectionId,
        generation,
        token_sealed: token,
        access_expires_at: '2030-01-01T00:00:00.000Z',
      },
    });

    it('runs go one at a time, whatever the limits allow, and say what they wait for', async () => {
      const jobs = [
        await job({ source_id: cloudId }),
        await job({ source_id: cloudId }),
        await job({ source_id: cloudId, engine: 'archive', sync: undefined, destination_id: destinationId }),
      ];
      const runs: string[] = [];
      for (const id of jobs) runs.push(await made(client('POST', `/api/v1/jobs/${id}/runs`)));
      expect(await steps.dispatch()).toBe(1);
      expect(await steps.dispatch()).toBe(0);
      const [first = '', second = '', third = ''] = runs;
      for (const id of [second, third]) expect(await steps.waitReason(id)).toBe('connection limit 1 of 1 in use');
      const started = (await worker.start(first, 1)).body;
      expect(started.connection).toEqual({
        connection_id: connectionId,
        provider: 'dropbox',
        status: 'active',
        token_sealed: 'sealed-1',
        generation: 1,
      });
      const probe = await made(client('POST', `/api/v1/sources/${cloudId}/probe`));
      expect((await steps.begin({ id: probe }, worker)).connection).toMatchObject({ token_sealed: 'sealed-1' });
      await worker.finish(started, outcomes.failed('ARTIFACT_CORRUPT'));
      expect(await steps.dispatch()).toBe(1);
      await worker.finish((await worker.start(second, 1)).body, outcomes.failed('ARTIFACT_CORRUPT'));
      await worker.finish(await steps.begin({ id: third }, worker), outcomes.failed('ARTIFACT_CORRUPT'));
    });

    it('a renewed token takes the place of the one that it came from, and of no newer one', async () => {
      const started = await begin(await job({ source_id: cloudId }));
      const generation = started.connection?.generation ?? 0;
      expect((await notes(started, renewed(generation, 'sealed-2'))).body.generation).toBe(generation + 1);
      // Said again, for the answer got lost.
      expect((await notes(started, renewed(generation, 'sealed-2'))).body.generation).toBe(generation + 1);
      expect(await rowNow()).toMatchObject({ token_sealed: 'sealed-2', generation: generation + 1 });
      expect((await notes(started, renewed(generation, 'sealed-late'))).body.generation).toBeNull();
      expect(await rowNow()).toMatchObject({ token_sealed: 'sealed-2' });
      const stale = { ...started, epoch: started.epoch + 1 };
      expect((await notes(stale, renewed(generation + 1, 'sealed-3'))).status).toBe(409);
      await worker.finish(started, outcomes.failed('ARTIFACT_CORRUPT'));
      expect((await notes(started, renewed(generation + 1, 'sealed-3'))).status).toBe(409);
      expect(await rowNow()).toMatchObject({ token_sealed: 'sealed-2' });
    });

    it('a connection that the provider refuses asks for its owner, and the next run is told', async () => {
      const started = await begin(await job({ source_id: cloudId }));
      const generation = started.connection?.generation ?? 0;
      const revoked = { status: 'reauthorize', connection_id: connectionId, generation };
      expect((await notes(started, { connection: revoked })).status).toBe(200);
      await worker.finish(started, outcomes.failed('CONNECTION_REAUTHORIZE'));
      expect((await client('GET', `/api/v1/connections/${connectionId}`)).body.status).toBe('reauthorize');
      const next = await begin(await job({ source_id: cloudId }));
      expect(next.connection).toMatchObject({ status: 'reauthorize' });
      await worker.finish(next, outcomes.failed('CONNECTION_REAUTHORIZE'));
    });

    it('diagnostics of a run are for operators alone', async () => {
      const started = await begin(await job({ source_id: cloudId }));
      await notes(started, { diagnostics: { 'dropbox.refresh_token_present': true } });
      await notes(started, { diagnostics: { 'rclone.version': 'v1.60.1' } });
      await worker.finish(started, outcomes.failed('ARTIFACT_CORRUPT'));
      const path = `/api/v1/runs/${started.run_id}`;
      const seen = await operator('GET', path, undefined, { 'x-xvault-tenant': tenantId });
      expect(seen.body.diagnostics).toEqual({ 'dropbox.refresh_token_present': true, 'rclone.version': 'v1.60.1' });
      const own = await client('GET', path);
      expect(own.status).toBe(200);
      expect(own.text).not.toMatch(/diagnostics|rclone/);
    });
  });
});
