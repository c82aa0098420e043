import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiClient, apiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let operator: ApiClient;
let anyone: ApiClient;
let owner: ApiClient;

beforeAll(async () => {
  hub = await startTestHub();
  anyone = apiClient(hub.app);
  operator = await operatorClient(hub);
  owner = (await tenantClient(hub, operator, 'acme', ['/srv'])).client;
});
afterAll(() => hub.close());

const problemKeys = ['code', 'request_id', 'status', 'title', 'type'];

describe('errors', () => {
  it('are problem+json for an unknown address', async () => {
    const answer = await anyone('GET', '/api/v1/nothing');
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.body).toMatchObject({ type: 'about:blank', status: 404, code: 'NOT_FOUND' });
    expect(Object.keys(answer.body).sort()).toEqual(problemKeys);
  });

  it('say 405 with Allow for a known address asked by another method', async () => {
    const answer = await owner('PUT', '/api/v1/sources/x', {});
    expect(answer.status).toBe(405);
    expect(answer.body).toMatchObject({ code: 'METHOD_NOT_ALLOWED' });
    expect(String(answer.headers.allow).split(', ').sort()).toEqual(['DELETE', 'GET', 'HEAD', 'PATCH']);
  });

  it('name the fields of a body that does not fit, and refuse unknown ones', async () => {
    const body = { type: 'sftp', name: '', config: { host: 'a b', user: 'u', path: 'x' }, secret: {}, extra: 1 };
    const answer = await owner('POST', '/api/v1/sources', body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ code: 'BAD_REQUEST' });
    const paths = (answer.body.errors as { path: string }[]).map((error) => error.path);
    expect(paths).toEqual(expect.arrayContaining(['name', 'config.host', 'config.path', 'secret']));
    expect(answer.text).toContain('extra');
  });

  it('refuse unknown fields everywhere: in queries too', async () => {
    const answer = await owner('GET', '/api/v1/jobs?foo=1');
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('foo');
  });

  it.each([
    ['a limit of 0', '/api/v1/jobs?limit=0'],
    ['a limit of 201', '/api/v1/jobs?limit=201'],
    ['a cursor that is none', '/api/v1/jobs?cursor=%25%25%25'],
    ['an id with other characters', '/api/v1/jobs/a%20b'],
    ['NUL in a query', '/api/v1/snapshots/x/files?path=%00'],
  ])('refuse %s', async (_, url) => {
    expect(await owner('GET', url)).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' } });
  });

  it('refuse text that the database cannot hold', async () => {
    const local = { type: 'local', config: { path: '/srv/a' } };
    for (const name of ['a\0b', 'a\ud800b']) {
      const answer = await owner('POST', '/api/v1/sources', { ...local, name });
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ path: 'name' }] } });
    }
    const path = await owner('POST', '/api/v1/sources', { type: 'local', name: 'x', config: { path: '/srv/\udfff' } });
    expect(path).toMatchObject({ status: 400, body: { errors: [{ path: 'config.path' }] } });
  });

  it('do not repeat a body that is not JSON', async () => {
    const answer = await hub.app.inject({
      method: 'POST',
      url: '/api/v1/login',
      headers: { 'content-type': 'application/json' },
      payload: '{"password": "hunter2-hunter2',
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'BAD_REQUEST' });
    expect(answer.body + hub.logs()).not.toContain('hunter2-hunter2');
  });

  it('say 413 for a body over 1 MiB and 415 for another media type', async () => {
    const large = await anyone('POST', '/api/v1/login', { email: 'a@b.cd', password: 'x'.repeat(1024 * 1024) });
    expect(large).toMatchObject({ status: 413, body: { code: 'BODY_TOO_LARGE' } });
    const xml = await hub.app.inject({
      method: 'POST',
      url: '/api/v1/login',
      headers: { 'content-type': 'application/xml' },
      payload: '<a/>',
    });
    expect(xml.statusCode).toBe(415);
    expect(xml.json()).toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' });
  });

  it('at 500 and above show nothing of what happened, but log it', async () => {
    const broken = await startTestHub();
    try {
      const client = await operatorClient(broken);
      await broken.db.schema.dropTable('workers').cascade().execute();
      const answer = await client('GET', '/api/v1/workers');
      expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL' } });
      expect(Object.keys(answer.body).sort()).toEqual(problemKeys);
      expect(answer.text).not.toContain('workers');
      expect(broken.logs()).toContain('relation \\"workers\\" does not exist');
    } finally {
      await broken.close();
    }
  });

  it('carry the security headers', async () => {
    const { headers } = await anyone('GET', '/healthz');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['content-security-policy']).toContain("default-src 'self'");
  });
});

describe('health', () => {
  it('is ready while the database and Redis answer, and says which does not', async () => {
    const own = await startTestHub();
    const client = apiClient(own.app);
    try {
      expect(await client('GET', '/readyz')).toMatchObject({ status: 200, body: { status: 'ok' } });
      own.deps.redis.disconnect();
      expect(await client('GET', '/readyz')).toMatchObject({
        status: 503,
        body: { status: 'unavailable', database: 'ok', redis: 'unavailable' },
      });
      expect(await client('GET', '/healthz')).toMatchObject({ status: 200 });
    } finally {
      await own.close();
    }
  });
});

describe('documentation', () => {
  it('is OpenAPI 3.1 in which every route has a summary, a tag and problems', async () => {
    const { status, body } = await anyone('GET', '/docs/json');
    expect(status).toBe(200);
    expect(body.openapi).toBe('3.1.0');
    const paths = body.paths as Record<
      string,
      Record<string, { summary?: string; tags?: string[]; responses: object }>
    >;
    const known = Object.keys(paths).filter((path) => path.startsWith('/api/v1/'));
    expect(known.length).toBeGreaterThan(20);
    for (const path of known) {
      for (const operation of Object.values(paths[path] ?? {})) {
        expect(operation.summary, path).toBeTruthy();
        expect(operation.tags, path).toHaveLength(1);
        expect(Object.keys(operation.responses), path).toEqual(expect.arrayContaining(['400', '401', '500']));
      }
    }
  });

  it('is served as pages', async () => {
    const { status, text } = await anyone('GET', '/docs/');
    expect(status).toBe(200);
    expect(text).toContain('swagger-ui');
  });
});
