import { chown, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { ownDatabase, sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiError } from '../api/client.ts';
import { type E2e, startE2e } from './fixture.ts';
import {
  type ChildWatch,
  dumpAnswers,
  dumpDatabase,
  dumpDisk,
  dumpLogs,
  dumpRedis,
  watchChildren,
} from './secret-search.ts';

const made = z.object({ id: z.string() });
const files = z.object({
  entries: z.array(z.object({ path: z.string(), type: z.string(), size_bytes: z.number() })),
  next_offset: z.number().nullable(),
});
const crypt = { password: `crypt-password-${randomToken()}`, salt: `crypt-salt-${randomToken()}` };

let server: SharedRadosgw;
let webdav: TestWebdav;
let sshd: TestSshd;
let ftp: TestVsftpd;
let samba: TestSamba;
let bucket: string;
let databaseUrl: string;
let e2e: E2e;
let canaries: Record<string, string>;
let watch: ChildWatch;

beforeAll(async () => {
  [server, webdav, sshd, ftp, samba, databaseUrl] = await Promise.all([
    sharedS3(),
    startWebdav(),
    startSshd(),
    startVsftpd(),
    startSamba(),
    ownDatabase(),
  ]);
  bucket = await server.createBucket();
  e2e = await startE2e({
    databaseUrl,
    allowNetworks: ['127.0.0.0/8'],
    logLevel: 'trace',
  });
  canaries = {
    ...crypt,
    secretKey: server.secretKey,
    accessKey: server.accessKey,
    webdav: webdav.password,
    sshd: sshd.user.password,
    // A line of it that no other key has.
    sshKey: sshd.privateKey.split('\n').at(-3) ?? '',
    ftp: ftp.password,
    samba: samba.password,
  };
  watch = watchChildren(e2e.platform.worker?.pid ?? 0);
});
afterAll(async () => {
  watch?.stop();
  await e2e?.stop();
  await Promise.allSettled([webdav?.stop(), sshd?.stop(), ftp?.stop(), samba?.stop()]);
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

test('servers of all kinds are synced, and fail, before their secrets are looked for', async () => {
  const { customer } = e2e;
  const { host, port, user, dataDir } = sshd;
  const login = { host, port, user: user.name };
  const key = { private_key: sshd.privateKey };
  const ftpConfig = { host: ftp.host, port: ftp.port, user: ftp.user, tls: 'none' };
  const smbConfig = { host: samba.host, port: samba.port, user: samba.user, share: samba.share };
  const sources = [
    { type: 'sftp', config: { ...login, path: join(dataDir, 'from') }, secret: { password: user.password } },
    { type: 'sftp', config: { ...login, path: '/nowhere' }, secret: key },
    { type: 'ftp', config: { ...ftpConfig, path: '/' }, secret: { password: ftp.password } },
    { type: 'ftp', config: { ...ftpConfig, path: '/nowhere' }, secret: { password: ftp.password } },
    { type: 'smb', config: smbConfig, secret: { password: samba.password } },
    { type: 'smb', config: { ...smbConfig, path: 'nowhere' }, secret: { password: samba.password } },
  ];
  for (const folder of ['from', 'to']) {
    await mkdir(join(dataDir, folder));
    await chown(join(dataDir, folder), user.uid, user.gid);
  }
  const config = { ...login, path: join(dataDir, 'to'), host_key: sshd.fingerprint() };
  const body = { name: 'server', type: 'sftp', config, secret: key };
  const destination = await customer.api.post('/api/v1/destinations', body, made);
  for (const [at, source] of sources.entries()) {
    const sourceId = await customer.source({
      ...source,
      ...(source.type === 'sftp' && { host_key: sshd.fingerprint() }),
    });
    const ids = { source_id: sourceId, destination_id: destination.id };
    const job = { name: `server ${at}`, ...ids, engine: 'sync', sync: {}, max_attempts: 1 };
    const run = await customer.backUp((await customer.api.post('/api/v1/jobs', job, made)).id);
    const expected = 'path' in source.config && source.config.path.endsWith('nowhere') ? 'failed' : 'success';
    expect([source.type, run.status, run.error_code]).toEqual([
      source.type,
      expected,
      expected === 'failed' ? 'SOURCE_PATH_NOT_FOUND' : null,
    ]);
  }
});

test('secrets stand nowhere but sealed', async () => {
  // What is looked at holds what it should: else nothing would be proven.
  const database = await dumpDatabase(databaseUrl);
  expect(database).toContain('"name":"versions"');
  const redis = await dumpRedis(e2e.platform.dataDir);
  expect(redis).toContain('xvault');
  const logs = await dumpLogs(e2e.platform.dataDir);
  expect(logs).toContain('the Hub is ready');
  const answers = await dumpAnswers(e2e.customer.api);
  expect(answers).toContain('"name":"server 5"');
  const disk = `${await dumpDisk(e2e.platform.dataDir)}\n${watch.files()}`;
  expect(disk).toContain('xvault-sync');
  const seen = watch.seen();
  expect(seen).toMatch(/rclone\0?.*rcd/s);
  expect(seen).toContain('RCLONE_RC_PASS');
  for (const [name, secret] of Object.entries(canaries)) {
    for (const form of [secret, Buffer.from(secret).toString('base64').replace(/=+$/, '')]) {
      for (const [where, text] of Object.entries({ database, redis, logs, answers, disk, seen })) {
        expect(text.includes(form), `${name} stands in ${where}`).toBe(false);
      }
    }
  }
});
