import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ApiClient,
  apiClient,
  operatorClient,
  signedIn,
  tenantClient,
  testPassword,
} from '../testing/api-client.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { exportAudience } from './access-token.ts';
import { insertMembership } from './users.repository.ts';

let hub: TestHub;
let operator: ApiClient;
let anyone: ApiClient;

beforeAll(async () => {
  hub = await startTestHub();
  operator = await operatorClient(hub);
  anyone = apiClient(hub.app);
});
afterAll(() => hub.close());

async function idOf(email: string): Promise<string> {
  const { id } = await hub.db.selectFrom('users').select('id').where('email', '=', email).executeTakeFirstOrThrow();
  return id;
}

describe('signing in', () => {
  it('gives a token for the only tenant of the user, whatever the case of the address', async () => {
    const { tenantId } = await tenantClient(hub, operator, 'login');
    const answer = await anyone('POST', '/api/v1/login', { email: 'Login@Example.com', password: testPassword });
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'cache-control': 'no-store' },
      body: {
        token_type: 'Bearer',
        expires_in: 3600,
        user: { email: 'login@example.com', platform_role: null },
        tenant_id: tenantId,
        tenants: [{ id: tenantId, name: 'login', role: 'owner' }],
      },
    });
    const me = await apiClient(hub.app, String(answer.body.access_token))('GET', '/api/v1/me');
    expect(me).toMatchObject({ status: 200, body: { tenant_id: tenantId, role: 'owner' } });
  });

  it('says the same for a wrong password, an unknown address and a disabled user', async () => {
    await tenantClient(hub, operator, 'disabled');
    await hub.db.updateTable('users').set({ status: 'disabled' }).where('email', '=', 'disabled@example.com').execute();
    const answers = await Promise.all([
      anyone('POST', '/api/v1/login', { email: 'operator@example.com', password: 'wrong password' }),
      anyone('POST', '/api/v1/login', { email: 'nobody@example.com', password: testPassword }),
      anyone('POST', '/api/v1/login', { email: 'disabled@example.com', password: testPassword }),
    ]);
    for (const { status, body } of answers) {
      expect({ status, ...body, request_id: '' }).toEqual({
        type: 'about:blank',
        status: 401,
        code: 'LOGIN_FAILED',
        title: 'The e-mail address or the password is wrong.',
        request_id: '',
      });
    }
  });

  it('leaves the choice to a user of several tenants, and refuses one of others', async () => {
    const first = await tenantClient(hub, operator, 'several');
    const second = await tenantClient(hub, operator, 'several-too');
    const foreign = await tenantClient(hub, operator, 'foreign');
    await insertMembership(hub.db, second.tenantId, await idOf('several@example.com'), 'viewer');
    const credentials = { email: 'several@example.com', password: testPassword };

    const unchosen = await anyone('POST', '/api/v1/login', credentials);
    expect(unchosen.body).toMatchObject({ tenant_id: null, tenants: [{ role: 'owner' }, { role: 'viewer' }] });
    const client = apiClient(hub.app, String(unchosen.body.access_token));
    expect(await client('GET', '/api/v1/jobs')).toMatchObject({ status: 400, body: { code: 'TENANT_REQUIRED' } });
    const header = { 'x-xvault-tenant': first.tenantId };
    expect(await client('GET', '/api/v1/jobs', undefined, header)).toMatchObject({ status: 200 });

    const chosen = await anyone('POST', '/api/v1/login', { ...credentials, tenant_id: second.tenantId });
    expect(chosen.body).toMatchObject({ tenant_id: second.tenantId });
    const refused = await anyone('POST', '/api/v1/login', { ...credentials, tenant_id: foreign.tenantId });
    expect(refused).toMatchObject({ status: 404 });
    const foreignHeader = { 'x-xvault-tenant': foreign.tenantId };
    expect(await client('GET', '/api/v1/jobs', undefined, foreignHeader)).toMatchObject({ status: 404 });
  });

  it('is limited by account, with Retry-After', async () => {
    const limited = await startTestHub({ config: { loginLimitPerMinute: 2 } });
    try {
      const client = apiClient(limited.app);
      const tryOnce = (email: string) => client('POST', '/api/v1/login', { email, password: 'x' });
      const statuses = [];
      for (let count = 0; count < 3; count += 1) statuses.push((await tryOnce('one@example.com')).status);
      expect(statuses).toEqual([401, 401, 429]);
      const again = await tryOnce('ONE@example.com');
      expect(again).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
      expect(Number(again.headers['retry-after'])).toBeGreaterThan(0);
      expect((await tryOnce('two@example.com')).status).toBe(401);
      for (let count = 0; count < 8; count += 1) await tryOnce(`other${count}@example.com`);
      expect((await tryOnce('three@example.com')).status).toBe(429);
    } finally {
      await limited.close();
    }
  });
});

describe('a token', () => {
  it('ends with its user, its membership and its tenant', async () => {
    const { client, tenantId } = await tenantClient(hub, operator, 'ending');
    const userId = await idOf('ending@example.com');
    expect((await client('GET', '/api/v1/me')).status).toBe(200);

    await operator('PATCH', `/api/v1/tenants/${tenantId}`, { status: 'suspended' });
    expect(await client('GET', '/api/v1/me')).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    await operator('PATCH', `/api/v1/tenants/${tenantId}`, { status: 'active' });

    await hub.db.updateTable('users').set({ status: 'disabled' }).where('id', '=', userId).execute();
    expect(await client('GET', '/api/v1/me')).toMatchObject({ status: 401 });
    await hub.db.updateTable('users').set({ status: 'active' }).where('id', '=', userId).execute();

    await hub.db.deleteFrom('memberships').where('user_id', '=', userId).execute();
    expect(await client('GET', '/api/v1/me')).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } });
  });

  it('of another key, issuer, audience, algorithm or time is refused', async () => {
    const sub = await idOf('operator@example.com');
    const { jwt } = hub.app;
    const good = jwt.sign({ sub, tid: null });
    expect((await apiClient(hub.app, good)('GET', '/api/v1/me')).status).toBe(200);
    const [header = '', payload = '', signature = ''] = good.split('.');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    const bad = [
      jwt.sign({ sub, tid: null }, { key: 'another key, also of more than 32 characters' }),
      jwt.sign({ sub, tid: null }, { iss: 'other' }),
      jwt.sign({ sub, tid: null }, { aud: exportAudience }),
      jwt.sign({ sub, tid: null }, { algorithm: 'HS512' }),
      jwt.sign({ sub, tid: null, iat: 1 }, { expiresIn: '1s' }),
      jwt.sign({ sub: 'nobody', tid: null }),
      `${none}.${payload}.`,
      `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
      'not a token',
    ];
    for (const token of bad) {
      const answer = await apiClient(hub.app, token)('GET', '/api/v1/me');
      expect(answer, token).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } });
      expect(answer.headers['www-authenticate']).toBe('Bearer');
    }
  });
});

describe('an operator of the platform', () => {
  it('names the tenant to act for in a header', async () => {
    const { tenantId } = await tenantClient(hub, operator, 'acted-for');
    expect(await operator('GET', '/api/v1/jobs')).toMatchObject({ status: 400, body: { code: 'TENANT_REQUIRED' } });
    const header = { 'x-xvault-tenant': tenantId };
    const made = await operator('POST', '/api/v1/destinations', { type: 'local_fs', name: 'disk' }, header);
    expect(made.status).toBe(201);
    const unknown = await operator('GET', '/api/v1/jobs', undefined, { 'x-xvault-tenant': 'nowhere' });
    expect(unknown).toMatchObject({ status: 404 });
  });

  it('is the only one who sees tenants and workers', async () => {
    const { client } = await tenantClient(hub, operator, 'curious');
    for (const url of ['/api/v1/tenants', '/api/v1/workers']) {
      expect(await client('GET', url)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
      expect(await operator('GET', url)).toMatchObject({ status: 200 });
    }
    expect(await client('POST', '/api/v1/tenants', { name: 'mine' })).toMatchObject({ status: 403 });
  });

  it('is made once: a second start with another password changes nothing', async () => {
    const { ensureFirstOperator } = await import('./first-operator.ts');
    expect(await ensureFirstOperator(hub.db, 'OPERATOR@example.com', 'another password')).toBe(false);
    await expect(signedIn(hub, 'operator@example.com', testPassword)).resolves.toBeTypeOf('function');
  });
});
