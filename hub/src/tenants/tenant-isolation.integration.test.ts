import { newId } from '@xvault/shared/ids.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashPassword } from '../auth/password.ts';
import { insertMembership, insertUser } from '../auth/users.repository.ts';
import { insertConnection } from '../connections/connections.repository.ts';
import {
  type ApiClient,
  apiClient,
  itemsOf,
  operatorClient,
  signedIn,
  tenantClient,
  testPassword,
} from '../testing/api-client.ts';
import { backUp, type JobFixture, made, makeJob } from '../testing/fixtures.ts';
import { type ScriptedWorker, scriptedWorker } from '../testing/scripted-worker.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let worker: ScriptedWorker;
let owner: ApiClient;
let viewer: ApiClient;
let stranger: ApiClient;
let tenantId: string;
/** One object of each kind that belongs to the tenant, by the first part of its routes. */
let ids: Record<string, string>;

beforeAll(async () => {
  hub = await startTestHub();
  const operator = await operatorClient(hub);
  const tenant = await tenantClient(hub, operator, 'owned', ['/srv']);
  ({ client: owner, tenantId } = tenant);
  stranger = (await tenantClient(hub, operator, 'other', ['/srv'])).client;
  const passwordHash = await hashPassword(testPassword);
  await insertUser(hub.db, { id: 'a-viewer', email: 'viewer@example.com', passwordHash, platformRole: null });
  await insertMembership(hub.db, tenantId, 'a-viewer', 'viewer');
  viewer = await signedIn(hub, 'viewer@example.com', testPassword);

  worker = await scriptedWorker(hub);
  const job: JobFixture = await makeJob(owner);
  const { runId, snapshotId } = await backUp(hub, owner, worker, job);
  const restore = await owner('POST', `/api/v1/snapshots/${snapshotId}/restore`, { target: { type: 'export' } });
  ids = {
    tenants: tenantId,
    workers: worker.id,
    sources: job.sourceId,
    destinations: job.destinationId,
    jobs: job.jobId,
    runs: runId,
    snapshots: snapshotId,
    exports: String(restore.body.export_id),
    connections: newId(),
  };
  const connection = { id: ids.connections ?? '', tenant_id: tenantId, provider: 'dropbox' as const, name: 'files' };
  await insertConnection(hub.db, connection);
});
afterAll(async () => {
  await worker.close();
  await hub.close();
});

/** Bodies that fit, so that a refusal has no other reason. */
const bodies: Record<string, object> = {
  'PATCH /api/v1/sources/:id': { name: 'mine' },
  'POST /api/v1/sources/:id/host-key': { fingerprint: `SHA256:${'A'.repeat(43)}` },
  'PATCH /api/v1/destinations/:id': { name: 'mine' },
  'PATCH /api/v1/jobs/:id': { name: 'mine' },
  'PATCH /api/v1/tenants/:id': { name: 'mine' },
  'POST /api/v1/snapshots/:id/restore': { target: { type: 'export' } },
  'POST /api/v1/sources': { type: 'local', name: 'x', config: { path: '/srv/x' } },
  'POST /api/v1/destinations': { type: 'local_fs', name: 'x' },
  'POST /api/v1/jobs': { name: 'x', source_id: 'x', destination_id: 'x' },
  'POST /api/v1/sources/:id/browse': { what: 'folders' },
  'POST /api/v1/sources/probe': { type: 'local', config: { path: '/srv/x' } },
  'POST /api/v1/sources/browse': { type: 'local', config: { path: '/srv/x' }, what: 'folders' },
  'POST /api/v1/connections/authorize': { provider: 'dropbox', name: 'x' },
  'POST /api/v1/connections/complete': { state: 'x', code: 'x' },
  'POST /api/v1/tenants': { name: 'x' },
  'POST /api/v1/tenant/keys/rotate': {},
  'PUT /api/v1/tenant/keys/customer': { recipient: `age1${'q'.repeat(58)}` },
  'PUT /api/v1/tenant/keys/extra-recipients': { recipients: [] },
  'POST /api/v1/tenant/keys/forget': { recipient: 'x' },
};

type Method = Parameters<ApiClient>[0];
interface Route {
  readonly method: Method;
  readonly url: string;
  readonly name: string;
  readonly kind: string;
}

/** Every route of the API but the one for signing in, as registered. */
function routes(): Route[] {
  return hub.app.routeList
    .filter(({ method, url }) => url.startsWith('/api/v1/') && url !== '/api/v1/login' && method !== 'HEAD')
    .map(({ method, url }) => ({
      method: method as Method,
      url,
      name: `${method} ${url}`,
      kind: url.split('/')[3] ?? '',
    }));
}
const isForOperators = ({ kind }: Route) => ['tenants', 'workers', 'settings'].includes(kind);

function ask(client: ApiClient, route: Route) {
  const id = ids[route.kind];
  if (route.url.includes(':id') && id === undefined) throw new Error(`no object to ask ${route.name} for`);
  return client(route.method, route.url.replace(':id', id ?? ''), bodies[route.name]);
}

describe('every route of the API', () => {
  it('is among those walked here', () => {
    const names = routes().map((route) => route.name);
    expect(names.length).toBeGreaterThan(30);
    expect(names).toEqual(expect.arrayContaining(['GET /api/v1/runs/:id/stream', 'POST /api/v1/exports/:id/link']));
    for (const { url } of routes()) expect(url.match(/:/g) ?? []).toHaveLength(url.includes(':id') ? 1 : 0);
  });

  it('answers 401 without a token', async () => {
    for (const route of routes()) {
      const answer = await ask(apiClient(hub.app), route);
      expect({ route: route.name, status: answer.status, code: answer.body.code }).toEqual({
        route: route.name,
        status: 401,
        code: 'UNAUTHENTICATED',
      });
    }
  });

  it('with an id of another tenant answers 404, or 403 where only operators of the platform may ask', async () => {
    for (const route of routes().filter(({ url }) => url.includes(':id'))) {
      const answer = await ask(stranger, route);
      expect({ route: route.name, status: answer.status }).toEqual({
        route: route.name,
        status: isForOperators(route) ? 403 : 404,
      });
    }
  });

  it('answers 404 for the same reasons as for an id that does not exist', async () => {
    for (const route of routes().filter((route) => route.url.includes(':id') && !isForOperators(route))) {
      const foreign = await ask(stranger, route);
      const unknown = await stranger(route.method, route.url.replace(':id', 'nothing'), bodies[route.name]);
      const without = (body: object) => ({ ...body, request_id: '' });
      expect(without(foreign.body), route.name).toEqual(without(unknown.body));
    }
  });

  it('that lists shows nothing of another tenant', async () => {
    const lists = routes().filter(
      (route) => route.method === 'GET' && !route.url.includes(':') && !isForOperators(route),
    );
    for (const route of lists.filter(({ kind }) => kind !== 'me' && kind !== 'tenant')) {
      expect(itemsOf(await stranger('GET', route.url)), route.name).toEqual([]);
      expect(itemsOf(await owner('GET', route.url)).length, route.name).toBeGreaterThan(0);
    }
  });

  it('that changes something answers 403 to a viewer, who may read', async () => {
    for (const route of routes()) {
      if (route.method === 'GET') continue;
      const answer = await ask(viewer, route);
      expect({ route: route.name, status: answer.status }).toEqual({ route: route.name, status: 403 });
    }
    for (const kind of ['sources', 'jobs', 'runs', 'snapshots', 'exports']) {
      expect((await viewer('GET', `/api/v1/${kind}/${ids[kind]}`)).status, kind).toBe(200);
    }
  });

  it('refuses to build upon objects of another tenant', async () => {
    const source = await made(stranger('POST', '/api/v1/sources', bodies['POST /api/v1/sources']));
    const destination = await made(stranger('POST', '/api/v1/destinations', bodies['POST /api/v1/destinations']));
    const foreignSource = { name: 'x', source_id: ids.sources, destination_id: destination };
    const foreignDestination = { name: 'x', source_id: source, destination_id: ids.destinations };
    const answers = [
      await stranger('POST', '/api/v1/jobs', foreignSource),
      await stranger('POST', '/api/v1/jobs', foreignDestination),
    ];
    expect(answers).toMatchObject([
      { status: 400, body: { errors: [{ path: 'source_id' }] } },
      { status: 400, body: { errors: [{ path: 'destination_id' }] } },
    ]);
  });
});
