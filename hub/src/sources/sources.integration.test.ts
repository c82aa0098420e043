import { seal, unseal } from '@xvault/shared/sealing.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, itemsOf, operatorClient, tenantClient } from '../testing/api-client.ts';
import { databaseText } from '../testing/database-text.ts';
import { made } from '../testing/fixtures.ts';
import { stepsOf } from '../testing/lifecycle-hub.ts';
import { outcomes, scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let client: ApiClient;
let operator: ApiClient;
let tenantId: string;

const config = { host: 'files.example.com', port: 22, user: 'backup', path: '/srv' };
const key = (letter: string) => `SHA256:${letter.repeat(43)}`;

beforeAll(async () => {
  hub = await startTestHub();
  operator = await operatorClient(hub);
  ({ client, tenantId } = await tenantClient(hub, operator, 'acme', ['/srv/allowed']));
});
afterAll(() => hub.close());

function sftp(name: string, secret: object = { password: 'pw' }, more: object = {}) {
  return client('POST', '/api/v1/sources', { type: 'sftp', name, config, secret, ...more });
}

describe('the secret of a source', () => {
  it('is sealed on arrival: neither database, log nor answer ever holds it', async () => {
    const canary = (place: string) => `canary-${place}-7f3a9c`;
    const created = await sftp('sealed', { password: canary('created'), passphrase: canary('phrase') });
    expect(created).toMatchObject({ status: 201, body: { has_secret: true, type: 'sftp', config, host_key: null } });
    const id = String(created.body.id);
    const patched = await client('PATCH', `/api/v1/sources/${id}`, { secret: { private_key: canary('patched') } });
    expect(patched.status).toBe(200);
    const answers = [
      created,
      patched,
      await client('GET', `/api/v1/sources/${id}`),
      await client('GET', '/api/v1/sources'),
      // Refused ones, for other reasons.
      await sftp('', { password: canary('refused') }),
      await sftp('x', { password: canary('unknown'), [canary('field')]: 1 }),
      await sftp('x', { password: { nested: canary('nested') } }),
      await client('PATCH', `/api/v1/sources/${id}`, { secret: { pass_word: canary('misspelt') } }),
      await client('POST', `/api/v1/sources/${id}/probe`),
    ];
    expect(answers.map((answer) => answer.status)).toEqual([201, 200, 200, 200, 400, 400, 400, 400, 202]);
    const names = ['created', 'phrase', 'patched', 'refused', 'unknown', 'nested', 'misspelt'].map(canary);
    const everything = [await databaseText(hub.db), hub.logs(), ...answers.map((answer) => answer.text)].join('\n');
    for (const name of names) expect(everything).not.toContain(name);
    expect(everything).toContain(id);

    const { secret_sealed } = await hub.db
      .selectFrom('sources')
      .select('secret_sealed')
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    const opened = await unseal(secret_sealed ?? '', [hub.credentials.identity]);
    expect(JSON.parse(opened)).toEqual({ private_key: canary('patched') });
    await expect(unseal(secret_sealed ?? '', [hub.vault.identity])).rejects.toThrow();
  });

  it('goes with the source when that is deleted', async () => {
    const id = await made(sftp('short-lived'));
    expect((await client('DELETE', `/api/v1/sources/${id}`)).status).toBe(204);
    expect((await client('GET', `/api/v1/sources/${id}`)).status).toBe(404);
    expect((await client('DELETE', `/api/v1/sources/${id}`)).status).toBe(404);
    const row = await hub.db.selectFrom('sources').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    expect(row).toMatchObject({ status: 'deleted', secret_sealed: null });
  });
});

describe('the identity of a tenant', () => {
  it('is kept sealed to the vault only, and fits the recipient', async () => {
    const tenant = await hub.db.selectFrom('tenants').selectAll().where('id', '=', tenantId).executeTakeFirstOrThrow();
    const identity = await unseal(tenant.identity_sealed ?? '', [hub.vault.identity]);
    expect(identity).toMatch(/^AGE-SECRET-KEY-1/);
    expect(await unseal(await seal('a backup', tenant.recipient), [identity])).toBe('a backup');
    expect(await databaseText(hub.db)).not.toContain(identity);
    expect(hub.logs()).not.toContain('AGE-SECRET-KEY');
  });
});

describe('the host key', () => {
  it('is dropped when host or port change, kept when the path does', async () => {
    const id = await made(sftp('moving', { password: 'pw' }, { host_key: key('A') }));
    const patch = async (changed: object) =>
      (await client('PATCH', `/api/v1/sources/${id}`, { config: { ...config, ...changed } })).body.host_key;
    expect(await patch({ path: '/other' })).toBe(key('A'));
    expect(await patch({ path: '/other', port: 2222 })).toBeNull();
    const accepted = await client('POST', `/api/v1/sources/${id}/host-key`, { fingerprint: key('B') });
    expect(accepted).toMatchObject({ status: 200, body: { host_key: key('B') } });
    expect(await patch({ host: 'other.example.com', port: 2222 })).toBeNull();
    expect(await client('POST', `/api/v1/sources/${id}/host-key`, { fingerprint: 'SHA256:x' })).toMatchObject({
      status: 400,
    });
  });

  it('is pinned by the first connection test that succeeds', async () => {
    const id = await made(sftp('probed'));
    const worker = await scriptedWorker(hub);
    try {
      const probe = await client('POST', `/api/v1/sources/${id}/probe`);
      expect(probe).toMatchObject({ status: 202, body: { kind: 'probe', status: 'queued', source_id: id } });
      expect(probe.headers.location).toBe(`/api/v1/runs/${probe.body.id}`);
      // An earlier test of another source waits as well, and one worker has few slots.
      await hub.db.updateTable('runs').set({ priority: 100 }).where('id', '=', String(probe.body.id)).execute();
      const started = await stepsOf(hub).begin({ id: String(probe.body.id) }, worker);
      expect(started.source_secret_sealed).not.toBeNull();
      const seen = { host_key: key('C'), server: 'OpenSSH', entry_names: ['a'], latency_ms: 3 };
      const result = { kind: 'probe', probe: { type: 'source', ...seen } } as const;
      await worker.finish(started, outcomes.completed(result));
      expect(await client('GET', `/api/v1/sources/${id}`)).toMatchObject({
        body: { host_key: key('C'), last_probe: { ok: true, server: 'OpenSSH' } },
      });
    } finally {
      await worker.close();
    }
  });
});

describe('a local source', () => {
  const local = (path: string) => client('POST', '/api/v1/sources', { type: 'local', name: 'local', config: { path } });

  it('lies within what the operator allows the tenant', async () => {
    expect((await local('/srv/allowed')).status).toBe(201);
    expect((await local('/srv/allowed/below')).status).toBe(201);
    for (const path of ['/srv', '/srv/allowed-not', '/', '/etc']) {
      expect(await local(path), path).toMatchObject({ status: 403, body: { code: 'PATH_NOT_ALLOWED' } });
    }
    for (const path of ['srv/allowed', '/srv/allowed/../../etc', '']) {
      expect(await local(path), path).toMatchObject({ status: 400 });
    }
  });

  it('cannot be moved out of it, nor be given a secret or a host key', async () => {
    const id = await made(local('/srv/allowed'));
    const patch = (body: object) => client('PATCH', `/api/v1/sources/${id}`, body);
    expect(await patch({ config: { path: '/etc' } })).toMatchObject({ status: 403 });
    expect(await patch({ secret: {} })).toMatchObject({ status: 400, body: { errors: [{ path: 'secret' }] } });
    expect(await patch({ config: { path: '/srv/allowed', host: 'x' } })).toMatchObject({ status: 400 });
    expect(await client('POST', `/api/v1/sources/${id}/host-key`, { fingerprint: key('A') })).toMatchObject({
      status: 400,
    });
    expect(await patch({})).toMatchObject({ status: 200, body: { config: { path: '/srv/allowed' } } });
  });
});

describe('lists', () => {
  it('are walked by cursor, newest first, each item once', async () => {
    const { client: own } = await tenantClient(hub, operator, 'lists');
    const names = Array.from({ length: 7 }, (_, at) => `disk ${at}`);
    for (const name of names) await made(own('POST', '/api/v1/destinations', { type: 'local_fs', name }));
    const seen: unknown[] = [];
    const sizes: number[] = [];
    let cursor: unknown = null;
    do {
      const page = await own('GET', `/api/v1/destinations?limit=3${cursor === null ? '' : `&cursor=${cursor}`}`);
      seen.push(...itemsOf(page).map((item) => item.name));
      sizes.push(itemsOf(page).length);
      cursor = page.body.next_cursor;
    } while (cursor !== null);
    expect(seen).toEqual(names.toReversed());
    expect(sizes).toEqual([3, 3, 1]);
  });
});

describe('the audit log', () => {
  it('holds who did what to which object, in the same transaction', async () => {
    const id = await made(sftp('audited'));
    await client('PATCH', `/api/v1/sources/${id}`, { name: 'renamed', secret: { password: 'x' } });
    await client('DELETE', `/api/v1/sources/${id}`);
    const rows = await hub.db.selectFrom('audit_log').selectAll().where('object_id', '=', id).orderBy('id').execute();
    const { id: userId } = await hub.db
      .selectFrom('users')
      .select('id')
      .where('email', '=', 'acme@example.com')
      .executeTakeFirstOrThrow();
    const common = { tenant_id: tenantId, user_id: userId, object_type: 'source', address: '127.0.0.1' };
    expect(rows).toMatchObject([
      { ...common, action: 'source.create', details: { name: 'audited', type: 'sftp' } },
      { ...common, action: 'source.update', details: { changed: ['name', 'secret_sealed'] } },
      { ...common, action: 'source.delete', details: null },
    ]);
  });
});
