import { trustAlso } from '@xvault/shared/extra-authority.ts';
import { newId } from '@xvault/shared/ids.ts';
import { oauthToken } from '@xvault/shared/oauth-token.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import { startProviders, type TestProviders, testClient } from '@xvault/shared/testing/cloud/providers.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, operatorClient, tenantClient, testPassword } from '../testing/api-client.ts';
import { made } from '../testing/fixtures.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let providers: TestProviders;
let hub: TestHub;
let operator: ApiClient;
let owner: ApiClient;
let tenantId: string;
let stranger: ApiClient;

beforeAll(async () => {
  providers = await startProviders();
  trustAlso(providers.caPem);
  const { clientId, clientSecret } = testClient;
  hub = await startTestHub({
    config: {
      googleClientId: clientId,
      googleClientSecret: clientSecret,
      googleAuthUrl: providers.url('/o/oauth2/v2/auth'),
      googleTokenUrl: providers.url('/token'),
      dropboxClientId: clientId,
      dropboxClientSecret: clientSecret,
      dropboxAuthUrl: providers.url('/oauth2/authorize'),
      dropboxTokenUrl: providers.url('/oauth2/token'),
      oauthRedirectUrl: testClient.redirectUrl,
    },
  });
  operator = await operatorClient(hub);
  ({ client: owner, tenantId } = await tenantClient(hub, operator, 'first'));
  ({ client: stranger } = await tenantClient(hub, operator, 'second'));
});
afterAll(async () => {
  await hub?.close();
  await providers?.stop();
});

const authorize = (client: ApiClient, more: object = {}) =>
  client('POST', '/api/v1/connections/authorize', { provider: 'google_drive', name: 'the drive', ...more });
const complete = (client: ApiClient, answer: object) => client('POST', '/api/v1/connections/complete', answer);

async function consented(client = owner, more: object = {}) {
  const { body } = await authorize(client, more);
  return providers.consent(String(body.authorize_url));
}

async function connected(client = owner, more: object = {}): Promise<string> {
  return made(complete(client, await consented(client, more)));
}

const rowOf = (id: string) =>
  hub.db.selectFrom('connections').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

describe('signing in with a provider', () => {
  it.each(['google_drive', 'dropbox'] as const)('%s: proves PKCE and keeps the token sealed', async (provider) => {
    const sent = await consented(owner, { provider });
    const answer = await complete(owner, sent);
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ provider, name: 'the drive', status: 'active' });
    const row = await rowOf(String(answer.body.id));
    const token = oauthToken.parse(JSON.parse(await unseal(row.token_sealed ?? '', [hub.credentials.identity])));
    const server = provider === 'dropbox' ? providers.dropbox : providers.google;
    expect(server.holds(token.refresh_token)).toBe(true);
    expect(server.isGood(token.access_token)).toBe(true);
    expect(row.access_expires_at?.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
    for (const secret of [token.refresh_token, token.access_token]) {
      expect(answer.text).not.toContain(secret);
      expect(JSON.stringify(row)).not.toContain(secret);
      expect(hub.logs()).not.toContain(secret);
    }
  });

  it('asks for reading alone and for a token that can be renewed', async () => {
    const { body } = await authorize(owner);
    const { searchParams } = new URL(String(body.authorize_url));
    expect(Object.fromEntries(searchParams)).toMatchObject({
      scope: 'https://www.googleapis.com/auth/drive.readonly',
      access_type: 'offline',
      code_challenge_method: 'S256',
      redirect_uri: testClient.redirectUrl,
    });
  });

  it('takes a code once', async () => {
    const sent = await consented();
    expect((await complete(owner, sent)).status).toBe(201);
    const before = await hub.db.selectFrom('connections').select('id').execute();
    expect(await complete(owner, sent)).toMatchObject({ status: 403, body: { code: 'OAUTH_DENIED' } });
    expect(await hub.db.selectFrom('connections').select('id').execute()).toHaveLength(before.length);
  });

  it('refuses a code that was given for another state: its verifier does not fit', async () => {
    const [one, two] = [await consented(), await consented()];
    expect(await complete(owner, { state: one.state, code: two.code })).toMatchObject({
      status: 403,
      body: { code: 'OAUTH_DENIED' },
    });
  });

  it('refuses a state that is forged, of another user, or an access token', async () => {
    const sent = await consented();
    const [head, claims, signature] = sent.state.split('.');
    const forged = JSON.parse(Buffer.from(String(claims), 'base64url').toString());
    const other = Buffer.from(JSON.stringify({ ...forged, tenant: newId() })).toString('base64url');
    const signIn = await hub.app.inject({
      method: 'POST',
      url: '/api/v1/login',
      payload: { email: 'first@example.com', password: testPassword },
    });
    for (const state of [`${head}.${other}.${signature}`, 'nonsense', String(signIn.json().access_token)]) {
      expect(await complete(owner, { ...sent, state })).toMatchObject({
        status: 400,
        body: { code: 'OAUTH_STATE_INVALID' },
      });
    }
    expect(await complete(stranger, sent)).toMatchObject({ status: 400, body: { code: 'OAUTH_STATE_INVALID' } });
    // Nothing of it used the code up.
    expect((await complete(owner, sent)).status).toBe(201);
  });

  it('says that a state is no token to sign in with', async () => {
    const { body } = await authorize(owner);
    const answer = await hub.app.inject({
      method: 'GET',
      url: '/api/v1/connections',
      headers: { authorization: `Bearer ${String(body.state)}` },
    });
    expect(answer.statusCode).toBe(401);
  });

  it('refuses members who do not manage the tenant', async () => {
    const { client: viewer, tenantId: third } = await tenantClient(hub, operator, 'third');
    await hub.db.updateTable('memberships').set({ role: 'viewer' }).where('tenant_id', '=', third).execute();
    expect((await authorize(viewer)).status).toBe(403);
  });

  it('tells the refusal of the provider', async () => {
    const sent = await consented();
    providers.google.failures.push({ status: 400, error: 'invalid_grant' });
    expect(await complete(owner, sent)).toMatchObject({ status: 403, body: { code: 'OAUTH_DENIED' } });
  });

  it.each([
    ['a wrong secret of the platform', { status: 401, error: 'invalid_client' }, 'OAUTH_NOT_CONFIGURED'],
    ['a wrong address of the platform', { status: 400, error: 'redirect_uri_mismatch' }, 'OAUTH_NOT_CONFIGURED'],
    ['a provider that is away', { status: 503, error: 'backend' }, 'SERVICE_UNAVAILABLE'],
    ['a provider that is busy', { status: 429, error: 'slow_down' }, 'SERVICE_UNAVAILABLE'],
    ['a proxy that forbids', { status: 403, error: '' }, 'SERVICE_UNAVAILABLE'],
  ])('does not say for %s that the provider denied the access', async (_, failure, code) => {
    const sent = await consented();
    providers.google.failures.push(failure);
    expect(await complete(owner, sent)).toMatchObject({ status: 503, body: { code } });
    // The code was not used up.
    expect((await complete(owner, sent)).status).toBe(201);
  });
});

describe('a connection', () => {
  it('is signed in anew in its place, with another generation', async () => {
    const id = await connected();
    await hub.db.updateTable('connections').set({ status: 'reauthorize' }).where('id', '=', id).execute();
    expect(await connected(owner, { connection_id: id })).toBe(id);
    expect(await rowOf(id)).toMatchObject({ status: 'active', generation: 2 });
    const wrong = await authorize(owner, { connection_id: id, provider: 'dropbox' });
    expect(wrong).toMatchObject({ status: 404 });
    expect(await authorize(stranger, { connection_id: id })).toMatchObject({ status: 404 });
  });

  it('is seen by its own tenant alone', async () => {
    const id = await connected();
    expect((await owner('GET', `/api/v1/connections/${id}`)).status).toBe(200);
    expect((await stranger('GET', `/api/v1/connections/${id}`)).status).toBe(404);
    expect((await stranger('DELETE', `/api/v1/connections/${id}`)).status).toBe(404);
    expect((await stranger('GET', '/api/v1/connections')).body.items).toEqual([]);
  });

  it('can be named only by sources of its tenant and its provider, and stays while one does', async () => {
    const id = await connected();
    const source = (connectionId: string, type = 'google_drive') => ({
      type,
      name: 'cloud',
      config: { connection_id: connectionId },
    });
    const refused = { status: 400, body: { errors: [{ path: 'config.connection_id' }] } };
    expect(await stranger('POST', '/api/v1/sources', source(id))).toMatchObject(refused);
    expect(await owner('POST', '/api/v1/sources', source(id, 'dropbox'))).toMatchObject(refused);
    expect(await owner('POST', '/api/v1/sources', source(newId()))).toMatchObject(refused);
    expect(await owner('POST', '/api/v1/sources', { type: 'google_drive', name: 'cloud', config: {} })).toMatchObject(
      refused,
    );
    const sourceId = await made(owner('POST', '/api/v1/sources', source(id)));
    const patch = (connectionId: string) =>
      owner('PATCH', `/api/v1/sources/${sourceId}`, { config: { connection_id: connectionId } });
    expect(await patch(newId())).toMatchObject(refused);
    expect((await patch(id)).status).toBe(200);
    expect((await owner('DELETE', `/api/v1/connections/${id}`)).status).toBe(409);
    expect((await owner('DELETE', `/api/v1/sources/${sourceId}`)).status).toBe(204);
    expect((await owner('DELETE', `/api/v1/connections/${id}`)).status).toBe(204);
    expect(await rowOf(id)).toMatchObject({ status: 'deleted', token_sealed: null });
    expect((await owner('GET', `/api/v1/connections/${id}`)).status).toBe(404);
    expect(await owner('POST', '/api/v1/sources', source(id))).toMatchObject(refused);
  });

  it('leaves its traces in the audit log, without a token', async () => {
    const rows = await hub.db
      .selectFrom('audit_log')
      .selectAll()
      .where('tenant_id', '=', tenantId)
      .where('object_type', '=', 'connection')
      .execute();
    const actions = new Set(rows.map(({ action }) => action));
    expect(actions).toEqual(new Set(['connection.create', 'connection.reauthorize', 'connection.delete']));
    expect(JSON.stringify(rows)).not.toMatch(/refresh-|access-/);
  });
});

describe('without an app', () => {
  it('says that the provider is not set up', async () => {
    const bare = await startTestHub();
    try {
      const { client } = await tenantClient(bare, await operatorClient(bare), 'first');
      expect(await authorize(client)).toMatchObject({ status: 503, body: { code: 'OAUTH_NOT_CONFIGURED' } });
    } finally {
      await bare.close();
    }
  });
});
