import { generateKeyPair, unseal } from '@xvault/shared/sealing.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deleteLeftRunSecrets } from '../lifecycle/run-secrets.ts';
import { type ApiAnswer, type ApiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { backUp, makeJob } from '../testing/fixtures.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { databaseKinds, startTestHub, type TestHub } from '../testing/test-hub.ts';

const ftp = { host: 'Files.example.com', user: 'u', path: '/pub' };
const mysql = { host: 'db.example.com', user: 'u' };

describe.each(databaseKinds)('restores to sources, on %s', (database) => {
  let hub: TestHub;
  let worker: ScriptedWorker;
  let client: ApiClient;
  let stranger: ApiClient;
  let tenantId: string;
  let snapshotId: string;

  beforeAll(async () => {
    hub = await startTestHub({ database });
    worker = await scriptedWorker(hub, { slots: 50 });
    const operator = await operatorClient(hub);
    ({ client, tenantId } = await tenantClient(hub, operator, 'acme', ['/srv']));
    ({ client: stranger } = await tenantClient(hub, operator, 'other', ['/srv']));
    ({ snapshotId } = await backUp(hub, client, worker, await makeJob(client)));
  }, 180_000);
  afterAll(async () => {
    await worker.close();
    await hub.close();
  });

  const restore = (target: object, more: object = {}, by = client) =>
    by('POST', `/api/v1/snapshots/${snapshotId}/restore`, { target, ...more });
  const runIdOf = (answer: ApiAnswer) => String((answer.body.run as { id?: unknown } | undefined)?.id);

  async function source(body: object, by = client): Promise<string> {
    const made = await by('POST', '/api/v1/sources', { name: 's', ...body });
    expect(made.text).toContain('"id"');
    return String(made.body.id);
  }
  const ftpSource = (by = client) => source({ type: 'ftp', config: ftp, secret: { password: 'secret' } }, by);

  it('freeze the source’s connection into the run, with its server and its sealed secret for the worker', async () => {
    const sourceId = await ftpSource();
    const asked = await restore({ type: 'source', source_id: sourceId, path: '/back', overwrite: 'rename' });
    expect(asked).toMatchObject({ status: 202, body: { export_id: null } });
    const started = await stepsOf(hub).begin({ id: runIdOf(asked) }, worker);
    expect(started.spec).toMatchObject({
      dry_run: false,
      target: {
        type: 'source',
        source_id: sourceId,
        source: { type: 'ftp', config: { host: 'Files.example.com', path: '/pub' } },
        path: '/back',
        overwrite: 'rename',
      },
    });
    expect(started.target_secret_sealed).toMatch(/^[A-Za-z0-9+/=]+$/);
    expect(await stepsOf(hub).row(started.run_id)).toMatchObject({ source_host: 'files.example.com:21' });
    const actions = { create: 2, skip: 1 };
    const result = { kind: 'restore', file_count: 2, bytes: 5, export: null, actions } as const;
    await worker.finish(started, outcomes.completed(result));
    const shown = await client('GET', `/api/v1/runs/${started.run_id}`);
    expect(shown.body).toMatchObject({ status: 'success', result: { file_count: 2, actions } });
    const audit = await hub.db
      .selectFrom('audit_log')
      .select('details')
      .where('action', '=', 'snapshot.restore')
      .where('tenant_id', '=', tenantId)
      .orderBy('id', 'desc')
      .executeTakeFirstOrThrow();
    expect(audit.details).toMatchObject({ run_id: started.run_id, dry_run: false, target: { source_id: sourceId } });
  });

  it('go to the snapshot’s own source where none is named', async () => {
    const asked = await restore({ type: 'source' });
    expect(asked).toMatchObject({ status: 202 });
    const { spec } = await stepsOf(hub).begin({ id: runIdOf(asked) }, worker);
    expect(spec).toMatchObject({ target: { path: null, overwrite: 'never' } });
    const { target, snapshot } = spec as { target: { source_id: string }; snapshot: { source_id: string } };
    expect(target.source_id).toBe(snapshot.source_id);
  });

  it('list what a dry run found, to this tenant alone, for a week', async () => {
    const asked = await restore({ type: 'source', source_id: await ftpSource() }, { dry_run: true });
    const started = await stepsOf(hub).begin({ id: runIdOf(asked) }, worker);
    expect(started.spec).toMatchObject({ dry_run: true });
    const url = `/api/v1/runs/${started.run_id}`;
    expect(await client('GET', `${url}/changes`)).toMatchObject({ status: 404 });
    const changes = [{ path: 'a', action: 'create', type: 'file', size_bytes: 3 }] as const;
    const counts = { file_count: 1, bytes: 3, actions: { create: 1, skip: 7 } };
    await worker.finish(
      started,
      outcomes.completed({ kind: 'restore', export: null, ...counts, changes: [...changes] }),
    );
    expect(await client('GET', `${url}/changes`)).toMatchObject({
      status: 200,
      body: { actions: { create: 1, skip: 7 }, items: changes },
    });
    expect((await client('GET', url)).body.result).toEqual({ kind: 'restore', export: null, ...counts });
    expect(await stranger('GET', `${url}/changes`)).toMatchObject({ status: 404 });
  });

  it('refuse what cannot be, another tenant’s source, and places that are not allowed', async () => {
    const sql = await source({ type: 'mysql', config: mysql, secret: { password: 'secret' } });
    const codes = async (...answers: Promise<ApiAnswer>[]) =>
      (await Promise.all(answers)).map(({ status, body }) => [status, body.code]);
    expect(
      await codes(
        restore({ type: 'source', source_id: await ftpSource(stranger) }),
        restore({ type: 'source', source_id: sql }),
        restore({ type: 'database', source_id: sql }),
        restore({ type: 'database' }),
        restore({ type: 'export' }, { dry_run: true }),
        restore({ type: 'directory', path: '/srv/x' }, { dry_run: true }),
        restore({ type: 'export', format: 'encrypted' }, { paths: ['a'] }),
        restore({ type: 'directory', path: '/etc' }),
        restore({ type: 'source' }, {}, stranger),
      ),
    ).toEqual([
      [404, 'NOT_FOUND'],
      [422, 'RESTORE_TARGET_UNSUPPORTED'],
      [422, 'RESTORE_TARGET_UNSUPPORTED'],
      [422, 'RESTORE_TARGET_UNSUPPORTED'],
      [400, 'BAD_REQUEST'],
      [400, 'BAD_REQUEST'],
      [400, 'BAD_REQUEST'],
      [403, 'PATH_NOT_ALLOWED'],
      [404, 'NOT_FOUND'],
    ]);
    const local = await source({ type: 'local', config: { path: '/srv/data' } });
    expect(await restore({ type: 'source', source_id: local, path: '/etc' })).toMatchObject({ status: 403 });
    expect(await restore({ type: 'source', source_id: local })).toMatchObject({ status: 202 });
    await hub.db.updateTable('tenants').set({ local_paths: '[]' }).where('id', '=', tenantId).execute();
    expect(await restore({ type: 'source', source_id: local })).toMatchObject({ status: 403 });
    await hub.db.updateTable('tenants').set({ local_paths: '["/srv"]' }).where('id', '=', tenantId).execute();
  });

  it('keep an identity that was given for one run sealed, out of sight, and no longer than the run', async () => {
    const { identity } = await generateKeyPair();
    await hub.db.updateTable('tenant_keys').set({ identity_sealed: null }).where('tenant_id', '=', tenantId).execute();
    await hub.db.updateTable('tenants').set({ identity_sealed: null }).where('id', '=', tenantId).execute();
    const keyless = { status: 409, body: { code: 'TENANT_KEY_UNAVAILABLE' } };
    expect(await restore({ type: 'export' })).toMatchObject(keyless);
    expect(await restore({ type: 'source' })).toMatchObject(keyless);
    expect(await restore({ type: 'export', format: 'encrypted' })).toMatchObject({ status: 202 });
    const wrong = await restore({ type: 'export' }, { identity: `${identity.slice(0, -1)}!` });
    expect(wrong).toMatchObject({ status: 400 });
    expect(wrong.text).not.toContain(identity.slice(20, 50));

    const asked = await restore({ type: 'export' }, { identity });
    expect(asked).toMatchObject({ status: 202 });
    const secrets = () => hub.db.selectFrom('run_secrets').selectAll().where('run_id', '=', runIdOf(asked)).execute();
    expect(await secrets()).toHaveLength(1);
    const started = await stepsOf(hub).begin({ id: runIdOf(asked) }, worker);
    expect(started.tenant_identities_sealed).toEqual([]);
    expect(await unseal(started.run_identity_sealed ?? '', [hub.vault.identity])).toBe(identity);
    expect(await deleteLeftRunSecrets(hub.db)).toBe(0);
    await worker.finish(started, outcomes.failed('IDENTITY_MISMATCH'));
    expect(await secrets()).toEqual([]);
    const everything = [hub.logs(), JSON.stringify(await hub.db.selectFrom('runs').selectAll().execute())];
    everything.push(JSON.stringify(await hub.db.selectFrom('audit_log').selectAll().execute()));
    for (const text of everything) expect(text).not.toContain(identity);

    await hub.db
      .insertInto('run_secrets')
      .values({ run_id: runIdOf(asked), identity_sealed: 'left' })
      .execute();
    expect(await deleteLeftRunSecrets(hub.db)).toBe(1);
  });
});
