import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ApiClient, operatorClient, tenantClient } from '../testing/api-client.ts';
import { made } from '../testing/fixtures.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let client: ApiClient;
let destinationId: string;

beforeAll(async () => {
  hub = await startTestHub();
  ({ client } = await tenantClient(hub, await operatorClient(hub), 'acme', ['/srv']));
  destinationId = await made(client('POST', '/api/v1/destinations', { type: 'local_fs', name: 'disk' }));
});
afterAll(() => hub?.close());

const ssh = { host: 'host.example.com', user: 'u' };
const sources = {
  local: { type: 'local', config: { path: '/srv/files' } },
  ftp: { type: 'ftp', config: { host: 'ftp.example.com', path: '/' }, secret: { password: 'p' } },
  sftp: { type: 'sftp', config: { ...ssh, path: '/data' }, secret: { password: 'p' } },
  mysqlDirect: { type: 'mysql', config: { user: 'u' }, secret: { password: 'p' } },
  mysqlTunnel: {
    type: 'mysql',
    config: { user: 'u', via: 'ssh_tunnel', ssh },
    secret: { password: 'p', ssh: { password: 'p' } },
  },
};
const source = (kind: keyof typeof sources) =>
  made(client('POST', '/api/v1/sources', { name: kind, ...sources[kind] }));
const job = async (kind: keyof typeof sources, options: object) =>
  client('POST', '/api/v1/jobs', {
    name: 'job',
    source_id: await source(kind),
    destination_id: destinationId,
    options,
  });
const command = { type: 'ssh', command: 'systemctl stop app' };

it('keeps every option as it was given, with defaults for the rest', async () => {
  const options = {
    compression_level: 7,
    one_file_system: true,
    follow_symlinks: true,
    include: ['/www'],
    exclude: ['*.log', '!keep.log'],
    max_file_bytes: 1_000_000,
    read_concurrency: 3,
    bandwidth_limit_bps: 2_000_000,
    hooks: {
      pre: [{ ...command, timeout_seconds: 5, on_failure: 'warn' }],
      post: [{ type: 'webhook', url: 'https://example.com/hook', timeout_seconds: 60, on_failure: 'stop' }],
    },
  };
  const jobId = await made(job('sftp', options));
  const url = `/api/v1/jobs/${jobId}`;
  expect((await client('GET', url)).body.options).toEqual(options);
  const changed = await client('PATCH', url, { options: { exclude: ['/tmp/'], hooks: { post: [command] } } });
  expect(changed.body.options).toEqual({
    compression_level: 3,
    one_file_system: false,
    follow_symlinks: false,
    include: [],
    exclude: ['/tmp/'],
    max_file_bytes: null,
    read_concurrency: null,
    bandwidth_limit_bps: null,
    hooks: { pre: [], post: [{ ...command, timeout_seconds: 60, on_failure: 'stop' }] },
  });
});

it('takes commands only for sources that are reached over SSH', async () => {
  for (const kind of ['sftp', 'mysqlTunnel'] as const) {
    expect(await job(kind, { hooks: { pre: [command] } })).toMatchObject({ status: 201 });
  }
  for (const kind of ['local', 'ftp', 'mysqlDirect'] as const) {
    const webhook = { type: 'webhook', url: 'https://example.com/hook' };
    expect(await job(kind, { hooks: { post: [webhook, command] } })).toMatchObject({
      status: 400,
      body: { code: 'BAD_REQUEST', errors: [{ path: 'options.hooks.post.1.type' }] },
    });
    const jobId = await made(job(kind, { hooks: { post: [webhook] } }));
    expect(await client('PATCH', `/api/v1/jobs/${jobId}`, { options: { hooks: { pre: [command] } } })).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'options.hooks.pre.0.type' }] },
    });
  }
});

it('takes following links and one file system only where the source can', async () => {
  const follow = { follow_symlinks: true };
  expect(await job('sftp', { ...follow, one_file_system: true })).toMatchObject({ status: 201 });
  expect(await job('local', { ...follow, one_file_system: true })).toMatchObject({ status: 201 });
  for (const kind of ['ftp', 'mysqlDirect'] as const) {
    expect(await job(kind, follow)).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'options.follow_symlinks' }] },
    });
  }
  expect(await job('ftp', { one_file_system: true })).toMatchObject({
    status: 400,
    body: { errors: [{ path: 'options.one_file_system' }] },
  });
});

it('refuses what cannot be a pattern, a limit or a hook', async () => {
  const wrong = [
    { exclude: ['two\nlines'] },
    { include: [''] },
    { bandwidth_limit_bps: 0 },
    { read_concurrency: 0 },
    { compression_level: 20 },
    { hooks: { pre: [{ type: 'webhook', url: 'file:///etc/passwd' }] } },
    { hooks: { pre: [{ ...command, timeout_seconds: 0 }] } },
    { hooks: { pre: Array.from({ length: 11 }, () => command) } },
  ];
  for (const options of wrong)
    expect(await job('sftp', options), JSON.stringify(options)).toMatchObject({ status: 400 });
});
