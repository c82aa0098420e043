import { newId } from '@xvault/shared/ids.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import { ServiceAccounts } from '@xvault/shared/testing/cloud/service-accounts.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { insertConnection } from '../connections/connections.repository.ts';
import { type ApiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { databaseText } from '../testing/database-text.ts';
import { made } from '../testing/fixtures.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { outcomes, type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let worker: ScriptedWorker;
let client: ApiClient;
let tenantId: string;
let stranger: string;

beforeAll(async () => {
  hub = await startTestHub();
  const operator = await operatorClient(hub);
  ({ client, tenantId } = await tenantClient(hub, operator, 'acme', ['/srv/allowed']));
  ({ tenantId: stranger } = await tenantClient(hub, operator, 'other'));
});
afterAll(() => hub.close());
beforeEach(async () => {
  worker = await scriptedWorker(hub);
});
afterEach(() => worker.close());

const key = `SHA256:${'A'.repeat(43)}`;
const config = { host: 'files.example.com', port: 22, user: 'backup', path: '/srv' };
const sftp = (password: string, more: object = {}) => ({ type: 'sftp', config, secret: { password }, ...more });
const probe = (body: object) => client('POST', '/api/v1/sources/probe', body);
const browse = (body: object) => client('POST', '/api/v1/sources/browse', body);

const secretsOf = (runId: string) => hub.db.selectFrom('run_secrets').selectAll().where('run_id', '=', runId).execute();
const opened = async ({ source_secret_sealed: sealed }: StartResponse) =>
  JSON.parse(await unseal(sealed ?? '', [hub.credentials.identity]));
const seen: ResultInput<'probe'> = {
  kind: 'probe',
  probe: { type: 'source', host_key: key, server: 'OpenSSH', entry_names: ['a'], latency_ms: 3 },
};

describe('a connection test before a source is saved', () => {
  it('carries the sealed secret to the worker alone, and forgets it when it ends', async () => {
    const canary = `canary-${newId()}`;
    const sources = await hub.db.selectFrom('sources').select('id').execute();
    const asked = await probe(sftp(canary));
    expect(asked).toMatchObject({ status: 202, body: { kind: 'probe', status: 'queued', source_id: null } });
    const runId = String(asked.body.id);
    expect(asked.headers.location).toBe(`/api/v1/runs/${runId}`);
    expect(await secretsOf(runId)).toMatchObject([{ identity_sealed: null }]);

    const started = await stepsOf(hub).begin({ id: runId }, worker);
    expect(started.spec).toEqual({
      kind: 'probe',
      probe: { type: 'source', source_id: null, source: { type: 'sftp', config: expect.any(Object), host_key: null } },
    });
    expect(await opened(started)).toEqual({ password: canary });
    expect(started.run_identity_sealed).toBeNull();
    expect((await worker.finish(started, outcomes.completed(seen))).status).toBe(200);
    expect(await secretsOf(runId)).toEqual([]);

    const answer = await client('GET', `/api/v1/runs/${runId}`);
    expect(answer.body).toMatchObject({ status: 'success', result: { probe: { host_key: key, server: 'OpenSSH' } } });
    expect(await hub.db.selectFrom('sources').select('id').execute()).toEqual(sources);
    const everything = [await databaseText(hub.db), hub.logs(), asked.text, answer.text].join('\n');
    expect(everything).toContain(runId);
    expect(everything).not.toContain(canary);
    const audit = await hub.db.selectFrom('audit_log').selectAll().where('action', '=', 'source.probe').execute();
    expect(audit.at(-1)).toMatchObject({
      tenant_id: tenantId,
      object_type: 'source',
      object_id: null,
      details: { type: 'sftp', run_id: runId, saved: false },
    });
  });

  it('forgets the secret also when it fails, is cancelled, or ends with warnings, and not before', async () => {
    const steps = stepsOf(hub);
    const cancelled = await made(probe(sftp('x')));
    expect(await secretsOf(cancelled)).toHaveLength(1);
    expect((await client('POST', `/api/v1/runs/${cancelled}/cancel`)).status).toBeLessThan(300);
    expect(await secretsOf(cancelled)).toEqual([]);

    const failing = await made(probe(sftp('y')));
    const first = await steps.begin({ id: failing }, worker);
    await worker.finish(first, outcomes.handedBack);
    // The attempt was none: the next one needs it as well.
    expect(await secretsOf(failing)).toHaveLength(1);
    await steps.endBackoff(failing);
    const second = await steps.begin({ id: failing }, worker);
    expect(await opened(second)).toEqual({ password: 'y' });
    await worker.finish(second, outcomes.failed('SOURCE_AUTH_FAILED'));
    expect(await secretsOf(failing)).toEqual([]);
    expect((await client('GET', `/api/v1/runs/${failing}`)).body).toMatchObject({
      status: 'failed',
      error_code: 'SOURCE_AUTH_FAILED',
    });

    const warned = await steps.begin({ id: await made(probe(sftp('z', { host_key: key }))) }, worker);
    expect(warned.spec).toMatchObject({ probe: { source: { host_key: key } } });
    await worker.finish(warned, outcomes.completed(seen, 1));
    expect(await secretsOf(warned.run_id)).toEqual([]);
  });

  it('acts by a connection of the tenant, and by no other', async () => {
    const mine = newId();
    const theirs = newId();
    const row = { provider: 'google_drive' as const, name: 'drive', token_sealed: 'sealed' };
    await insertConnection(hub.db, { id: mine, tenant_id: tenantId, ...row });
    await insertConnection(hub.db, { id: theirs, tenant_id: stranger, ...row });
    const drive = (connectionId: string | null) => ({ type: 'google_drive', config: { connection_id: connectionId } });
    const refused = { status: 400, body: { errors: [{ path: 'config.connection_id' }] } };
    for (const id of [theirs, newId(), null]) expect(await probe(drive(id))).toMatchObject(refused);
    expect(await probe({ type: 'dropbox', config: { connection_id: mine } })).toMatchObject(refused);
    const started = await stepsOf(hub).begin({ id: await made(probe(drive(mine))) }, worker);
    expect(started.connection).toMatchObject({ connection_id: mine, token_sealed: 'sealed' });
    await worker.finish(started, outcomes.completed(seen));
  });

  it('takes the key of a service account of Google, and nothing that only looks like one', async () => {
    const { json } = new ServiceAccounts().create();
    const drive = (text: string) => ({ type: 'google_drive', config: {}, secret: { service_account_json: text } });
    const started = await stepsOf(hub).begin({ id: await made(probe(drive(json))) }, worker);
    expect(await opened(started)).toEqual({ service_account_json: json });
    await worker.finish(started, outcomes.completed(seen));
    const { private_key: whole } = JSON.parse(json) as { private_key: string };
    const line = whole.split('\n')[5] ?? '';
    expect(line.length).toBe(64);
    expect([await databaseText(hub.db), hub.logs()].join('\n')).not.toContain(line);
    const changed = (more: object) => JSON.stringify({ ...JSON.parse(json), ...more });
    const others = [
      changed({ type: 'authorized_user' }),
      changed({ universe_domain: 'example.com' }),
      changed({ private_key: 'canary-of-a-key' }),
      changed({ client_email: 'a b' }),
      'canary-of-no-json',
    ];
    for (const text of others) {
      const answer = await probe(drive(text));
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ path: 'secret.service_account_json' }] } });
      expect(answer.text).not.toContain('canary');
      const saved = await client('POST', '/api/v1/sources', { name: 'drive', ...drive(text) });
      expect(saved.status).toBe(400);
    }
  });

  it('is refused as saving it would be', async () => {
    const outside = { type: 'local', config: { path: '/etc' } };
    expect(await probe(outside)).toMatchObject({ status: 403, body: { code: 'PATH_NOT_ALLOWED' } });
    expect(await browse({ ...outside, what: 'folders' })).toMatchObject({ status: 403 });
    const wrong = await probe({ type: 'sftp', config, secret: { pass_word: 'canary-misspelt' } });
    expect(wrong.status).toBe(400);
    expect(wrong.text).not.toContain('canary');
    expect((await probe(sftp('x', { name: 'a name' }))).status).toBe(400);
    expect((await probe({ type: 'sftp', config })).status).toBe(400);
    expect((await probe({ type: 'local', config: { path: '/srv/allowed' }, secret: {} })).status).toBe(400);
    const bare = await made(probe({ type: 'local', config: { path: '/srv/allowed/below' } }));
    expect(await secretsOf(bare)).toEqual([]);
  });
});

describe('a picker for a source that is not saved', () => {
  it('gives what a worker lists, by the secret that was given', async () => {
    const canary = `canary-${newId()}`;
    const parent = '/srv/data';
    const asking = browse({ ...sftp(canary, { host_key: key }), what: 'folders', parent, limit: 2 });
    let runId: string | undefined;
    await until('the run', async () => {
      const found = await hub.db
        .selectFrom('runs')
        .select('id')
        .where('status', '=', 'queued')
        .where('source_host', '=', 'files.example.com:22')
        .executeTakeFirst();
      runId = found?.id;
      return found !== undefined;
    });
    const started = await stepsOf(hub).begin({ id: String(runId) }, worker);
    expect(started.spec).toMatchObject({
      probe: { type: 'browse', source_id: null, what: 'folders', parent, cursor: null, limit: 2 },
    });
    expect(await opened(started)).toEqual({ password: canary });
    const items = [{ id: '/srv/data/a', name: 'a' }];
    const listed: ResultInput<'probe'> = { kind: 'probe', probe: { type: 'browse', items, next_cursor: 'more' } };
    await worker.finish(started, outcomes.completed(listed));
    const answer = await asking;
    expect(answer).toMatchObject({ status: 200, body: { items, next_cursor: 'more' } });
    expect(await secretsOf(String(runId))).toEqual([]);
    expect([await databaseText(hub.db), hub.logs(), answer.text].join('\n')).not.toContain(canary);
  });

  it('is asked only for what there is', async () => {
    expect(await browse({ ...sftp('x'), what: 'buckets' })).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'what' }] },
    });
    expect((await browse(sftp('x'))).status).toBe(400);
    const keys = { access_key_id: 'a', secret_access_key: 'b' };
    const bucketless = { type: 's3', config: { endpoint: 'https://s3.example.com' }, secret: keys };
    const missing = { status: 400, body: { errors: [{ path: 'config.bucket' }] } };
    expect(await browse({ ...bucketless, what: 'folders' })).toMatchObject(missing);
    expect(await probe(bucketless)).toMatchObject(missing);
    const share = { type: 'smb', config: { host: 'nas.example.com', user: 'u' }, secret: { password: 'p' } };
    expect(await browse({ ...share, what: 'folders' })).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'config.share' }] },
    });
  });
});
