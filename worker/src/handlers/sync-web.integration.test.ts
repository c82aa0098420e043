import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DestinationConnection, s3DestinationConfig } from '@xvault/shared/destinations.ts';
import { type ErrorCode, errorCatalogue } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { SpecInput } from '@xvault/shared/run-kinds.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { makeCertificate, type TestCertificate } from '@xvault/shared/testing/certificate.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createSourceConnector } from './source-connector.ts';
import { makeSyncPlatform, type SyncJob, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import { handleSyncRestore } from './sync-snapshot.ts';
import {
  type Front,
  named,
  outerAddress,
  startCanary,
  startDav,
  startRedirecting,
  startTlsFront,
} from './sync-web.test-kit.ts';

let platform: SyncPlatform;
let webdav: TestWebdav;
let s3: Awaited<ReturnType<typeof sharedS3>>;
let canary: Front;
let certificate: TestCertificate;
let folder: string;
const fronts: Front[] = [];
const disk: WithSecret<DestinationConnection> = { connection: { type: 'local_fs', config: {} } };
const crypt = { password: 'a password of the test', salt: 'a salt of the test too' };
const mebibyte = 1024 * 1024;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xvault-sync-web-'));
  const names = ['127.0.0.1', 'dav.example.test', 's3.example.test'];
  [platform, webdav, s3, canary, certificate] = await Promise.all([
    makeSyncPlatform(),
    startWebdav(),
    sharedS3(),
    startCanary(),
    makeCertificate(folder, names),
  ]);
  await writeFile(join(webdav.dataDir, 'a.txt'), 'a');
});
afterAll(async () => {
  await Promise.all([platform.remove(), webdav.stop(), canary.stop(), rm(folder, { recursive: true, force: true })]);
});
afterEach(async () => {
  for (const front of fronts.splice(0)) await front.stop();
  expect(canary.asked(), 'requests to what nobody may reach').toBe(0);
});

async function kept(front: Promise<Front>): Promise<Front> {
  fronts.push(await front);
  return front;
}

function fromDav(url: string, more: object = {}): WithSecret<SourceConnection> {
  const config = { url, user: webdav.user, ...more };
  return { connection: sourceConnection.parse({ type: 'webdav', config }), secret: { password: webdav.password } };
}

const keys = () => ({ access_key_id: s3.accessKey, secret_access_key: s3.secretKey });

function fromBucket(endpoint: string, bucket: string, more: object = {}): WithSecret<SourceConnection> {
  const config = { endpoint, region: s3.region, bucket, ...more };
  return { connection: sourceConnection.parse({ type: 's3', config }), secret: keys() };
}

function toBucket(endpoint: string, bucket: string, more: object = {}): WithSecret<DestinationConnection> {
  const config = s3DestinationConfig.parse({ endpoint, region: s3.region, bucket, ...more });
  return { connection: { type: 's3', config }, secret: keys() };
}

function fromDisk(path: string): WithSecret<SourceConnection> {
  return { connection: { type: 'local', config: { path } } };
}

function job(from: WithSecret<SourceConnection>, to = disk, more: Partial<SyncJob> = {}): SyncJob {
  return { source: from, destination: to, jobId: newId(), ...more };
}

async function folderOf(files: Readonly<Record<string, Buffer | string>>): Promise<string> {
  const path = await mkdtemp(join(folder, 'files-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(path, name, '..'), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return path;
}

/** What the last version of a job holds on the worker's disk. */
function stored(running: SyncJob, path: string): Promise<Buffer> {
  const place = `tenants/tenant/sources/source/sync/${running.jobId}/current`;
  return readFile(join(platform.config.XVAULT_STORAGE_DIR, place, path));
}

async function expectFault(broken: SyncJob, code: ErrorCode): Promise<void> {
  const { error, told } = await platform.failedBackup(broken);
  expect(error, JSON.stringify(told.notes)).toMatchObject({ code, message: errorCatalogue[code].sentence });
  expect(told.events.at(-1)).toMatchObject({ type: 'error', params: { code } });
  expect(JSON.stringify(told.events)).not.toContain('127.0.0.1');
}

/** Where a server could send rclone to; the port is that of what nobody may reach. */
function elsewhere(): readonly [string, string][] {
  const { port } = canary;
  return [
    ['loopback', `http://127.0.0.1:${port}/a.txt`],
    ['loopback by name', `http://localhost:${port}/a.txt`],
    ['loopback by IPv6', `http://[::1]:${port}/a.txt`],
    ['loopback, oddly written', `http://0x7f.1:${port}/a.txt`],
    ['loopback, without a scheme', `//127.0.0.1:${port}/a.txt`],
    ['another host', `http://127.0.0.2:${port}/a.txt`],
    ['a file', 'file:///etc/passwd'],
  ];
}

const files = { 'a.txt': 'the first', 'b.txt': 'the second' };

describe('a WebDAV server that sends on to another place', () => {
  it.each([0, 1, 2, 3, 4, 5, 6])('%i: is not followed, whatever was asked for', async (at) => {
    const [, location = ''] = elsewhere()[at] ?? [];
    for (const method of ['PROPFIND', 'GET']) {
      const dav = await kept(
        startDav(files, (request) => (request.method === method ? { status: 307, location } : null)),
      );
      await expectFault(job(fromDav(`http://127.0.0.1:${dav.port}/`)), 'SOURCE_REDIRECT_REFUSED');
      // Once, or a few times where several files are fetched at once: never again and again.
      expect(dav.asked()).toBeLessThan(10);
    }
  });

  it.each([301, 302, 303, 308])('%i: likewise', async (status) => {
    const location = `http://127.0.0.1:${canary.port}/a.txt`;
    for (const method of ['PROPFIND', 'GET']) {
      const dav = await kept(startDav(files, (request) => (request.method === method ? { status, location } : null)));
      await expectFault(job(fromDav(`http://127.0.0.1:${dav.port}/`)), 'SOURCE_REDIRECT_REFUSED');
    }
  });

  it('fails a test of the connection, and a listing', async () => {
    const location = `http://localhost:${canary.port}/`;
    const dav = await kept(startDav(files, () => ({ status: 302, location })));
    const { connection, secret } = fromDav(`http://127.0.0.1:${dav.port}/`);
    const probe = { type: 'source', source_id: 'source', source: connection } as const;
    const { context } = await platform.contextOf<'probe'>({ kind: 'probe', probe }, { source: secret });
    const { start, signal } = context;
    const sources = createSourceConnector(platform.config, platform.deps.guard);
    const refused = { code: 'SOURCE_REDIRECT_REFUSED' };
    await expect(sources.probe(connection, start.source_secret_sealed, signal, context)).rejects.toMatchObject(refused);
    const question = { what: 'folders', parent: '', cursor: null, limit: 10 } as const;
    const browsing = sources.browse(connection, start.source_secret_sealed, signal, context, question);
    await expect(browsing).rejects.toMatchObject(refused);
  });

  it('is followed where it stays at home', async () => {
    const same = await kept(
      startDav({ ...files, 'moved.txt': 'the first' }, ({ method, url, headers }) =>
        method === 'GET' && url === '/a.txt' ? { status: 301, location: `http://${headers.host}/moved.txt` } : null,
      ),
    );
    const good = job(fromDav(`http://127.0.0.1:${same.port}/`));
    expect((await platform.backup(good)).result.snapshot.file_count).toBe(3);
    expect((await stored(good, 'a.txt')).toString()).toBe('the first');
  });
});

describe('an S3 server that sends on to another place', () => {
  const redirecting = (method: string, status: number, location: string) =>
    startRedirecting(Number(new URL(s3.endpoint).port), (request) =>
      request.method === method && /\/[^/?]+\/[^?]+/.test(request.url ?? '') ? { status, location } : null,
    );

  it.each([0, 1, 2, 5])('%i: is not followed when an object is read', async (at) => {
    const bucket = await s3.createBucket();
    await platform.backup(job(fromDisk(await folderOf(files)), toBucket(s3.endpoint, bucket)));
    const [, location = ''] = elsewhere()[at] ?? [];
    for (const status of [301, 307]) {
      const front = await kept(redirecting('GET', status, location));
      await expectFault(job(fromBucket(`http://127.0.0.1:${front.port}`, bucket)), 'SOURCE_REDIRECT_REFUSED');
    }
  });

  it.each([
    ['GET', 301],
    ['PUT', 307],
    ['HEAD', 302],
  ])('is not followed as a destination: %s, %i', async (method, status) => {
    const front = await kept(redirecting(method, status, `http://127.0.0.1:${canary.port}/`));
    const [path, bucket] = [await folderOf(files), await s3.createBucket()];
    const running = job(fromDisk(path), toBucket(s3.endpoint, bucket));
    await platform.backup(running);
    await writeFile(join(path, 'a.txt'), 'the first, changed');
    const destination = toBucket(`http://127.0.0.1:${front.port}`, bucket);
    await expectFault({ ...running, destination }, 'STORAGE_REDIRECT_REFUSED');
  });
});

describe('servers with TLS', () => {
  let dav: Front;
  let bucketFront: Front;
  beforeAll(async () => {
    dav = await startTlsFront(certificate, webdav.port);
    bucketFront = await startTlsFront(certificate, Number(new URL(s3.endpoint).port));
    const ports = { 'dav.example.test': dav.port, 'other.example.test': dav.port, 's3.example.test': bucketFront.port };
    const guard = named(platform.deps.guard, ports);
    Object.assign(platform.deps, { guard });
  });
  afterAll(async () => {
    await dav.stop();
    await bucketFront.stop();
  });
  const own = () => ({ ca_pem: certificate.certPem });

  it.each(['at an address', 'by name'])('WebDAV %s: a backup and a restore, byte for byte', async (how) => {
    const url = how === 'by name' ? 'https://dav.example.test/in' : `https://127.0.0.1:${dav.port}/in`;
    await rm(join(webdav.dataDir, 'in'), { recursive: true, force: true });
    const content = randomBytes(3 * mebibyte + 1);
    await mkdir(join(webdav.dataDir, 'in/sub dir'), { recursive: true });
    const names = ['big.bin', 'sub dir/ü %2F #?.txt', 'empty'];
    await writeFile(join(webdav.dataDir, 'in', names[0] ?? ''), content);
    await writeFile(join(webdav.dataDir, 'in', names[1] ?? ''), 'odd');
    await writeFile(join(webdav.dataDir, 'in', names[2] ?? ''), '');
    const from = fromDav(url, own());
    const running = job(from);
    const made = await platform.backup(running);
    expect(made.result.snapshot.file_count).toBe(3);
    expect((await stored(running, 'big.bin')).equals(content)).toBe(true);
    expect((await stored(running, names[1] ?? '')).toString()).toBe('odd');

    const spec: SpecInput<'restore'> = {
      kind: 'restore',
      snapshot: platform.refOf(running, made.result),
      paths: null,
      export_id: null,
      export_expires_at: null,
      target: { type: 'source', source_id: 'source', source: from.connection, overwrite: 'always', path: '/back' },
    };
    const { context } = await platform.contextOf<'restore'>(spec, { target: from.secret });
    expect((await handleSyncRestore(context, platform.deps)).file_count).toBe(3);
    expect((await readFile(join(webdav.dataDir, 'in/back/big.bin'))).equals(content)).toBe(true);
    expect((await readFile(join(webdav.dataDir, 'in/back', names[1] ?? ''))).toString()).toBe('odd');
  });

  it.each([
    ['at an address, each object whole', () => `https://127.0.0.1:${bucketFront.port}`, 12],
    // More than what rclone sends in one request.
    ['by name, in parts too', () => 'https://s3.example.test', 205],
  ])('S3 %s: up and down, byte for byte', async (_, endpointOf, sizeMib) => {
    const endpoint = endpointOf();
    const bucket = await s3.createBucket();
    const path = await folderOf({ 'small.txt': 'small', "sub dir/it's ü+&.txt": 'odd', 'empty.txt': '' });
    const big = join(path, 'big.bin');
    const file = await open(big, 'w');
    for (let part = 0; part < sizeMib; part += 1) await file.write(randomBytes(mebibyte));
    await file.write('and a little');
    await file.close();
    const up = job(fromDisk(path), toBucket(endpoint, bucket, own()));
    expect((await platform.backup(up)).result.snapshot.file_count).toBe(4);
    expect((await platform.backup(up)).told.events.at(-1)).toMatchObject({ code: 'NO_CHANGES' });
    const prefix = `tenants/tenant/sources/source/sync/${up.jobId}/current/`;
    const down = job(fromBucket(endpoint, bucket, { ...own(), prefix }));
    expect((await platform.backup(down)).result.snapshot.file_count).toBe(4);
    expect((await stored(down, 'big.bin')).equals(await readFile(big))).toBe(true);
    expect((await stored(down, "sub dir/it's ü+&.txt")).toString()).toBe('odd');
    await rm(path, { recursive: true });
    await rm(join(platform.config.XVAULT_STORAGE_DIR, 'tenants'), { recursive: true });
  });

  it('S3 to S3, both of the same server', async () => {
    const [one, two] = [await s3.createBucket(), await s3.createBucket()];
    const endpoint = 'https://s3.example.test';
    await platform.backup(job(fromDisk(await folderOf(files)), toBucket(endpoint, one, own())));
    const across = job(fromBucket(endpoint, one, own()), toBucket(endpoint, two, own()), {
      crypt,
    });
    const { result } = await platform.backup(across);
    // Two files, the manifest and the sentinel of the first job.
    expect(result.snapshot.file_count).toBe(4);
  });

  it.each([
    ['an authority that nobody knows', () => fromDav(`https://127.0.0.1:${dav.port}/`)],
    ['another name', () => fromDav('https://other.example.test/', own())],
    ['no TLS', () => fromDav(webdav.url.replace('http:', 'https:'), own())],
    ['S3 with an authority that nobody knows', () => fromBucket('https://s3.example.test', 'bucket')],
  ])('are refused: %s', async (_, source) => {
    await expectFault(job(source()), 'SOURCE_TLS_FAILED');
  });

  it('are refused as a destination', async () => {
    const to = toBucket('https://s3.example.test', 'bucket');
    await expectFault(job(fromDisk(await folderOf(files)), to), 'STORAGE_TLS_FAILED');
  });

  it('a run that is cancelled leaves no connection', async () => {
    const bucket = await s3.createBucket();
    const path = await folderOf({ 'big.bin': Buffer.alloc(40 * mebibyte, 'x') });
    const options = { bandwidth_limit_bps: 4 * mebibyte };
    const running = job(fromDisk(path), toBucket('https://s3.example.test', bucket, own()), { options });
    const cancelling = new AbortController();
    const reason = new Error('cancelled by the test');
    const before = bucketFront.asked();
    const failing = platform.failedBackup(running, cancelling.signal);
    await until('the transfer', () => bucketFront.asked() > before + 1);
    setTimeout(() => cancelling.abort(reason), 1000);
    expect((await failing).error).toBe(reason);
    await until('connections to end', () => bucketFront.sockets.size === 0);
    expect((await platform.backup({ ...running, options: {} })).result.snapshot.file_count).toBe(1);
  });
});

describe('the platform’s own bucket', () => {
  it('is spoken to without a proxy, also where a customer’s server is the same', async () => {
    const bucket = await s3.createBucket();
    const port = Number(new URL(s3.endpoint).port);
    const outer = outerAddress();
    const place = await kept(startRedirecting(port, () => null, outer));
    const own = await makeSyncPlatform({
      XVAULT_ALLOW_NETWORKS: `127.0.0.0/8,${outer}/32`,
      XVAULT_S3_ENDPOINT: `http://${outer}:${place.port}`,
      XVAULT_S3_BUCKET: bucket,
      XVAULT_S3_ACCESS_KEY_ID: s3.accessKey,
      XVAULT_S3_SECRET_ACCESS_KEY: s3.secretKey,
    });
    try {
      const to: WithSecret<DestinationConnection> = { connection: { type: 'platform_s3', config: {} } };
      // The proxy knows no such server, and would refuse.
      const made = await own.backup(job(fromDisk(await folderOf(files)), to));
      expect(made.result.snapshot.file_count).toBe(2);
      const location = `http://127.0.0.1:${canary.port}/`;
      const isObject = (url = '') => /\/[^/?]+\/[^?]+/.test(url);
      const front = await kept(
        startRedirecting(port, ({ method, url }) =>
          method === 'GET' && isObject(url) ? { status: 307, location } : null,
        ),
      );
      const { error } = await own.failedBackup(job(fromBucket(`http://127.0.0.1:${front.port}`, bucket), to));
      expect(error).toMatchObject({ code: 'SOURCE_REDIRECT_REFUSED' });
      // The same server for both: only what is the customer's goes through the proxy.
      const shared = `http://${outer}:${place.port}`;
      const { result } = await own.backup(job(fromBucket(shared, bucket, { prefix: 'tenants/' }), to, { crypt }));
      expect(result.snapshot.file_count).toBeGreaterThan(2);
    } finally {
      await own.remove();
    }
  });
});

it('what calls itself SharePoint elsewhere is refused', async () => {
  const source = fromDav('https://sharepoint.example.com/', { vendor: 'sharepoint' });
  await expectFault(job(source), 'SOURCE_ADDRESS_FORBIDDEN');
});
