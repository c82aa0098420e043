import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { descendants } from '@xvault/shared/testing/process-tree.ts';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { ownDatabase, sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiError } from '../api/client.ts';
import { type E2e, startE2e } from './fixture.ts';

const made = z.object({ id: z.string() });
const files = z.object({
  entries: z.array(z.object({ path: z.string(), type: z.string(), size_bytes: z.number() })),
  next_offset: z.number().nullable(),
});
const crypt = { password: `crypt-password-${randomToken()}`, salt: `crypt-salt-${randomToken()}` };

let server: SharedRadosgw;
let webdav: TestWebdav;
let bucket: string;
let databaseUrl: string;
let e2e: E2e;
let canaries: Record<string, string>;
let watch: ReturnType<typeof watchChildren>;

beforeAll(async () => {
  [server, webdav, databaseUrl] = await Promise.all([sharedS3(), startWebdav(), ownDatabase()]);
  bucket = await server.createBucket();
  e2e = await startE2e({
    databaseUrl,
    allowNetworks: ['127.0.0.0/8'],
    logLevel: 'trace',
  });
  canaries = { ...crypt, secretKey: server.secretKey, accessKey: server.accessKey, webdav: webdav.password };
  watch = watchChildren(e2e.platform.worker?.pid ?? 0);
});
afterAll(async () => {
  watch?.stop();
  await e2e?.stop();
  await webdav?.stop();
});

const inFolder = (name: string) => join(e2e.folder, name);

async function treeOf(folder: string): Promise<Record<string, string>> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const named = found.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name));
  const read = named.map(async (path) => [relative(folder, path), await readFile(path, 'base64')] as const);
  return Object.fromEntries(await Promise.all(read));
}

async function makeJob(name: string, path: string, sync: object, more: object = {}): Promise<string> {
  const { api } = e2e.customer;
  const sourceId = await e2e.customer.source({ type: 'local', config: { path } });
  const { endpoint, region, accessKey, secretKey } = server;
  const config = { endpoint, region, bucket };
  const secret = { access_key_id: accessKey, secret_access_key: secretKey };
  const destination = await api.post('/api/v1/destinations', { name, type: 's3', config, secret }, made);
  const ids = { source_id: sourceId, destination_id: destination.id };
  return (await api.post('/api/v1/jobs', { name, ...ids, engine: 'sync', sync, max_attempts: 1, ...more }, made)).id;
}

async function backUp(jobId: string): Promise<string> {
  const run = await e2e.customer.backUp(jobId);
  expect([run.status, run.error_summary]).toEqual(['success', null]);
  return run.snapshot_id ?? '';
}

test('three encrypted versions on S3: listed, restored, validated, removed one by one', async () => {
  const { customer } = e2e;
  const source = inFolder('source');
  await mkdir(join(source, 'sub', 'deeper'), { recursive: true });
  await writeFile(join(source, 'sub', 'changes'), 'one');
  await writeFile(join(source, 'sub', 'deeper', 'goes away'), 'only in the first');
  await writeFile(join(source, 'stays'), Buffer.alloc(2_000_000, 'stays'));
  const jobId = await makeJob('versions', source, { encryption: true }, { crypt, validation_mode: 'post_run' });

  const trees: Record<string, string>[] = [];
  const versions: string[] = [];
  const steps = [
    async () => undefined,
    async () => {
      await writeFile(join(source, 'sub', 'changes'), 'two, and longer');
      await rm(join(source, 'sub', 'deeper'), { recursive: true });
    },
    async () => writeFile(join(source, 'new in the third'), 'third'),
  ];
  for (const step of steps) {
    await step();
    trees.push(await treeOf(source));
    versions.push(await backUp(jobId));
  }
  const [first = '', second = '', third = ''] = versions;
  expect(await customer.snapshot(first)).toMatchObject({ locator: { storage_backend: 'rclone', worker_id: null } });
  const listed = await signedRequest({ ...server, method: 'GET', path: `/${bucket}` });
  expect(listed).not.toContain('goes away');

  const list = (query: string) => customer.api.get(`/api/v1/snapshots/${first}/files?${query}`, files);
  expect((await list('')).entries.map(({ path, type }) => `${type} ${path}`)).toEqual(['file stays', 'directory sub']);
  expect((await list('path=sub&recursive=true')).entries.map(({ path }) => path)).toEqual([
    'sub/changes',
    'sub/deeper',
    'sub/deeper/goes away',
  ]);
  const page = await list('recursive=true&limit=2');
  expect(page.entries).toHaveLength(2);
  expect((await list(`recursive=true&offset=${page.next_offset}`)).entries).toHaveLength(3);
  expect((await list('text=AWAY')).entries).toMatchObject([{ path: 'sub/deeper/goes away', size_bytes: 17 }]);
  await expect(list('path=nowhere')).rejects.toMatchObject({ status: 404 });

  for (const [at, id] of versions.entries()) {
    const path = inFolder(`restored-${at}`);
    const restored = await customer.post(`/api/v1/snapshots/${id}/restore`, { target: { type: 'directory', path } });
    expect(restored).toMatchObject({ status: 'success' });
    expect(await treeOf(path)).toEqual(trees[at]);
  }
  const chosen = inFolder('chosen');
  const some = { paths: ['sub/deeper'], target: { type: 'directory', path: chosen } };
  expect(await customer.post(`/api/v1/snapshots/${first}/restore`, some)).toMatchObject({ status: 'success' });
  expect(Object.keys(await treeOf(chosen))).toEqual(['sub/deeper/goes away']);

  expect(await customer.post(`/api/v1/snapshots/${second}/validate`, {})).toMatchObject({ status: 'success' });
  for (const id of versions) await validated(id);

  const removed = await customer.api.delete(`/api/v1/snapshots/${second}`, made);
  expect(await customer.ended(removed.id)).toMatchObject({ status: 'success' });
  expect(await customer.snapshot(second)).toMatchObject({ status: 'deleted' });
  const again = inFolder('restored-again');
  const back = { target: { type: 'directory', path: again } };
  expect(await customer.post(`/api/v1/snapshots/${first}/restore`, back)).toMatchObject({ status: 'success' });
  expect(await treeOf(again)).toEqual(trees[0]);
  expect(await customer.post(`/api/v1/snapshots/${third}/validate`, {})).toMatchObject({ status: 'success' });
});

async function validated(snapshotId: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const { validation_status: status } = await e2e.customer.snapshot(snapshotId);
    if (status === 'success') return;
    if (status === 'failed') throw new Error('the validation failed');
    await sleep(200);
  }
  throw new Error('no validation followed');
}

test('a mass deletion at the source is stopped before anything is done', async () => {
  const { customer } = e2e;
  const source = inFolder('guarded');
  await mkdir(source);
  for (let number = 0; number < 10; number += 1) await writeFile(join(source, `file ${number}`), String(number));
  const jobId = await makeJob('guarded', source, { max_delete_percent: 30 });
  const kept = await backUp(jobId);
  for (let number = 0; number < 4; number += 1) await rm(join(source, `file ${number}`));
  const stopped = await customer.backUp(jobId);
  expect(stopped).toMatchObject({ status: 'failed', error_code: 'SYNC_DELETE_GUARD', snapshot_id: null });
  const events = await customer.events(stopped.id);
  expect(events.map(({ params }) => params.code ?? null)).toContain('SYNC_DELETE_GUARD');
  const path = inFolder('guarded-restored');
  const target = { target: { type: 'directory', path } };
  expect(await customer.post(`/api/v1/snapshots/${kept}/restore`, target)).toMatchObject({ status: 'success' });
  expect(Object.keys(await treeOf(path))).toHaveLength(10);
});

test('a mirror keeps one version, and says so', async () => {
  const { customer } = e2e;
  const source = inFolder('mirrored');
  await mkdir(source);
  await writeFile(join(source, 'one'), '1');
  await writeFile(join(source, 'two'), '2');
  const jobId = await makeJob('mirror', source, { mode: 'mirror', mirror_confirmed: true });
  const first = await backUp(jobId);
  await rm(join(source, 'one'));
  const second = await backUp(jobId);
  expect([(await customer.snapshot(first)).status, (await customer.snapshot(second)).status]).toEqual([
    'deleted',
    'committed',
  ]);
  const path = inFolder('mirror-restored');
  const target = { target: { type: 'directory', path } };
  await expect(customer.post(`/api/v1/snapshots/${first}/restore`, target)).rejects.toThrow(ApiError);
  expect(await customer.post(`/api/v1/snapshots/${second}/restore`, target)).toMatchObject({ status: 'success' });
  expect(Object.keys(await treeOf(path))).toEqual(['two']);
});

test('a WebDAV folder is tested, looked into, and becomes one encrypted archive', async () => {
  const { customer } = e2e;
  await mkdir(join(webdav.dataDir, 'photos', '2026'), { recursive: true });
  await writeFile(join(webdav.dataDir, 'photos', '2026', 'a'), Buffer.alloc(1_500_000, 'photo'));
  await writeFile(join(webdav.dataDir, 'photos', 'b'), 'b');
  const config = { url: webdav.url, user: webdav.user, path: 'photos' };
  const sourceId = await customer.source({ type: 'webdav', config, secret: { password: webdav.password } });
  expect(await customer.post(`/api/v1/sources/${sourceId}/probe`, {})).toMatchObject({ status: 'success' });
  const items = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })), next_cursor: z.null() });
  const browse = (body: object) => customer.api.post(`/api/v1/sources/${sourceId}/browse`, body, items);
  expect((await browse({ what: 'folders' })).items).toEqual([{ id: 'photos', name: 'photos' }]);
  expect((await browse({ what: 'folders', parent: 'photos' })).items).toEqual([{ id: 'photos/2026', name: '2026' }]);
  await expect(browse({ what: 'drives' })).rejects.toMatchObject({ status: 400 });
  const snapshotId = await backUp(await customer.job(sourceId));
  expect(await customer.post(`/api/v1/snapshots/${snapshotId}/validate`, {})).toMatchObject({ status: 'success' });
  const path = inFolder('photos-restored');
  const target = { target: { type: 'directory', path } };
  expect(await customer.post(`/api/v1/snapshots/${snapshotId}/restore`, target)).toMatchObject({ status: 'success' });
  expect(await treeOf(path)).toEqual(await treeOf(join(webdav.dataDir, 'photos')));
});

test('a source is tested and looked into before it is saved', async () => {
  const { customer } = e2e;
  await mkdir(join(webdav.dataDir, 'unsaved', 'folder'), { recursive: true });
  const config = { url: webdav.url, user: webdav.user, path: '' };
  const given = { type: 'webdav', config, secret: { password: webdav.password } };
  expect(await customer.post('/api/v1/sources/probe', given)).toMatchObject({ status: 'success' });
  const items = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) });
  const asked = { ...given, what: 'folders', parent: 'unsaved' };
  expect((await customer.api.post('/api/v1/sources/browse', asked, items)).items).toEqual([
    { id: 'unsaved/folder', name: 'folder' },
  ]);
  const { endpoint, region, accessKey, secretKey } = server;
  const keys = { access_key_id: accessKey, secret_access_key: secretKey };
  const buckets = { type: 's3', config: { endpoint, region }, secret: keys, what: 'buckets', limit: 1000 };
  expect((await customer.api.post('/api/v1/sources/browse', buckets, items)).items).toContainEqual({
    id: bucket,
    name: bucket,
  });
  const wrong = { ...given, secret: { password: 'another' } };
  expect(await customer.post('/api/v1/sources/probe', wrong)).toMatchObject({
    status: 'failed',
    error_code: 'SOURCE_AUTH_FAILED',
  });
});

test('secrets stand nowhere but sealed', async () => {
  // What is looked at holds what it should: else nothing would be proven.
  const database = await dumpDatabase();
  expect(database).toContain('"name":"versions"');
  const redis = await dumpRedis();
  expect(redis).toContain('xvault');
  const logs = await dumpLogs();
  expect(logs).toContain('the Hub is ready');
  const seen = watch.seen();
  expect(seen).toMatch(/rclone\0?.*rcd/s);
  expect(seen).toContain('RCLONE_RC_PASS');
  for (const [name, secret] of Object.entries(canaries)) {
    for (const form of [secret, Buffer.from(secret).toString('base64').replace(/=+$/, '')]) {
      for (const [where, text] of Object.entries({ database, redis, logs, seen })) {
        expect(text.includes(form), `${name} stands in ${where}`).toBe(false);
      }
    }
  }
});

async function dumpDatabase(): Promise<string> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      `select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'`,
    );
    const parts: string[] = [];
    for (const { name } of tables.rows) {
      const { rows } = await client.query<{ row: unknown }>(`select to_jsonb(it) as row from ${name} as it`);
      parts.push(name, ...rows.map(({ row }) => JSON.stringify(row)));
    }
    return parts.join('\n');
  } finally {
    await client.end();
  }
}

async function dumpRedis(): Promise<string> {
  const redis = new Redis(await readFile(join(e2e.platform.dataDir, 'secrets', 'redis-url'), 'utf8'));
  try {
    const keys = await redis.keys('*');
    const values = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
    return [...keys, ...values.map((value) => value?.toString('latin1') ?? '')].join('\n');
  } finally {
    redis.disconnect();
  }
}

async function dumpLogs(): Promise<string> {
  const folder = join(e2e.platform.dataDir, 'logs');
  const names = await readdir(folder);
  return (await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))).join('\n');
}

/** Arguments and environments of all that the worker starts, looked at again and again. */
function watchChildren(workerPid: number): { seen(): string; stop(): void } {
  const found = new Set<string>();
  const look = () => {
    for (const pid of descendants(workerPid)) {
      for (const file of ['cmdline', 'environ']) found.add(readProcess(pid, file));
    }
  };
  const timer = setInterval(look, 50);
  return { seen: () => [...found].join('\n'), stop: () => clearInterval(timer) };
}

function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    // It has ended.
    return '';
  }
}
