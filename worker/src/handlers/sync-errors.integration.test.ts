import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DestinationConnection, s3DestinationConfig } from '@xvault/shared/destinations.ts';
import { type ErrorCode, errorCatalogue } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  makeSyncPlatform,
  type SyncJob,
  type SyncPlatform,
  type Told,
  type WithSecret,
} from './sync-context.test-kit.ts';

let platform: SyncPlatform;
let sshd: TestSshd;
let ftp: TestVsftpd;
let samba: TestSamba;
let webdav: TestWebdav;
let s3: Awaited<ReturnType<typeof sharedS3>>;
const disk: WithSecret<DestinationConnection> = { connection: { type: 'local_fs', config: {} } };

beforeAll(async () => {
  [platform, sshd, ftp, samba, webdav, s3] = await Promise.all([
    makeSyncPlatform(),
    startSshd(),
    startVsftpd(),
    startSamba(),
    startWebdav(),
    sharedS3(),
  ]);
});
afterAll(() => Promise.all([platform.remove(), sshd.stop(), ftp.stop(), samba.stop(), webdav.stop()]));

function source(type: string, config: object, secret: unknown, more: object = {}): WithSecret<SourceConnection> {
  return { connection: sourceConnection.parse({ type, config, ...more }), secret };
}

function overSftp(more: object = {}, secret: object = {}, hostKey: string | null = sshd.fingerprint()) {
  const config = { host: sshd.host, port: sshd.port, user: sshd.user.name, path: sshd.dataDir, ...more };
  return source('sftp', config, { password: sshd.user.password, ...secret }, { host_key: hostKey });
}

function overFtp(more: object = {}, secret: object = {}) {
  const config = { host: ftp.host, port: ftp.port, user: ftp.user, path: '/', tls: 'none', ...more };
  return source('ftp', config, { password: ftp.password, ...secret });
}

function overSmb(more: object = {}, secret: object = {}) {
  const config = { host: samba.host, port: samba.port, user: samba.user, share: samba.share, ...more };
  return source('smb', config, { password: samba.password, ...secret });
}

function overWebdav(more: object = {}, secret: object = {}) {
  return source('webdav', { url: webdav.url, user: webdav.user, ...more }, { password: webdav.password, ...secret });
}

function keysOf({ accessKey, secretKey }: { accessKey: string; secretKey: string } = s3) {
  return { access_key_id: accessKey, secret_access_key: secretKey };
}

function fromBucket(bucket: string, secret: object = {}, more: object = {}) {
  const config = { endpoint: s3.endpoint, region: s3.region, bucket, ...more };
  return source('s3', config, { ...keysOf(), ...secret });
}

function toBucket(bucket: string, secret: object = {}, more: object = {}): WithSecret<DestinationConnection> {
  const config = s3DestinationConfig.parse({ endpoint: s3.endpoint, region: s3.region, bucket, ...more });
  return { connection: { type: 's3', config }, secret: { ...keysOf(), ...secret } };
}

function job(from: WithSecret<SourceConnection>, to = disk, more: Partial<SyncJob> = {}): SyncJob {
  return { source: from, destination: to, jobId: newId(), ...more };
}

async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(platform.root, 'source-'));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

/** What a customer must never read: hosts, ports, paths of the system, names and words of tools. */
function expectDiscreet({ events }: Told): void {
  const shown = JSON.stringify(events);
  const secrets = [sshd, ftp, samba].map((server) => ('password' in server ? server.password : server.user.password));
  const forbidden = [platform.root, '/dev/shm', '127.0.0.1', 'rclone', s3.secretKey, s3.accessKey, webdav.password];
  for (const word of [...forbidden, ...secrets]) expect(shown).not.toContain(word);
}

async function expectFault(broken: SyncJob, code: ErrorCode, event: string, retryable: boolean): Promise<void> {
  const { error, told } = await platform.failedBackup(broken);
  expect(error, JSON.stringify(told.notes)).toMatchObject({ code, message: errorCatalogue[code].sentence, retryable });
  const reason = errorCatalogue[code].sentence;
  const last = { type: 'error', level: 'error', code: event, message_id: 'sync_error', params: { code, reason } };
  expect(told.events.at(-1)).toMatchObject(last);
  expectDiscreet(told);
}

describe('a source that cannot be reached', () => {
  const none = { path: '/nowhere/at/all' };
  const cases: readonly [
    string,
    () => WithSecret<SourceConnection> | Promise<WithSecret<SourceConnection>>,
    ErrorCode,
    string,
    boolean,
  ][] = [
    ['sftp: wrong password', () => overSftp({}, { password: 'wrong' }), 'SOURCE_AUTH_FAILED', 'ERROR_AUTH', false],
    [
      'sftp: another host key',
      () => overSftp({}, {}, `SHA256:${'A'.repeat(43)}`),
      'SSH_HOST_KEY_CHANGED',
      'ERROR_AUTH',
      false,
    ],
    ['sftp: unknown host key', () => overSftp({}, {}, null), 'SSH_HOST_KEY_UNKNOWN', 'ERROR_AUTH', false],
    [
      'sftp: no such host',
      () => overSftp({ host: 'no-such-host.invalid' }),
      'SOURCE_HOST_UNKNOWN',
      'ERROR_NETWORK',
      true,
    ],
    [
      'sftp: refused',
      async () => overSftp({ port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    ['sftp: no such path', () => overSftp(none), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    ['sftp: forbidden path', () => overSftp({ path: '/root' }), 'SOURCE_PERMISSION', 'ERROR_PERMISSION', false],
    ['ftp: wrong password', () => overFtp({}, { password: 'wrong' }), 'SOURCE_AUTH_FAILED', 'ERROR_AUTH', false],
    [
      'ftp: refused',
      async () => overFtp({ port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    ['ftp: no such path', () => overFtp(none), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    ['smb: wrong password', () => overSmb({}, { password: 'wrong' }), 'SOURCE_AUTH_FAILED', 'ERROR_AUTH', false],
    ['smb: no such share', () => overSmb({ share: 'nothing' }), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    ['smb: no such path', () => overSmb({ path: 'nowhere' }), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    [
      'smb: refused',
      async () => overSmb({ port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    ['webdav: wrong password', () => overWebdav({}, { password: 'wrong' }), 'SOURCE_AUTH_FAILED', 'ERROR_AUTH', false],
    ['webdav: no such path', () => overWebdav({ path: 'nowhere' }), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    [
      'webdav: refused',
      async () => overWebdav({ url: `http://127.0.0.1:${await freePort()}/` }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    [
      's3: wrong secret',
      async () => fromBucket(await s3.createBucket(), { secret_access_key: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      's3: unknown key',
      async () => fromBucket(await s3.createBucket(), { access_key_id: 'NOBODY' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      's3: another account',
      async () => fromBucket(await s3.createBucket(), keysOf(await s3.createUser())),
      'SOURCE_PERMISSION',
      'ERROR_PERMISSION',
      false,
    ],
    ['s3: no such bucket', () => fromBucket(`none-${newId()}`), 'SOURCE_BUCKET_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    [
      's3: not TLS',
      async () => fromBucket(await s3.createBucket(), {}, { endpoint: s3.endpoint.replace('http:', 'https:') }),
      'SOURCE_TLS_FAILED',
      'ERROR_NETWORK',
      false,
    ],
    ['local: no such path', () => source('local', none, undefined), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
  ];
  it.each(cases)('%s', async (_, make, code, event, retryable) => {
    await expectFault(job(await make()), code, event, retryable);
  });
});

describe('a destination that cannot be written', () => {
  const cases: readonly [string, () => Promise<WithSecret<DestinationConnection>>, ErrorCode, string, boolean][] = [
    [
      'wrong secret',
      async () => toBucket(await s3.createBucket(), { secret_access_key: 'wrong' }),
      'STORAGE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      'another account',
      async () => toBucket(await s3.createBucket(), keysOf(await s3.createUser())),
      'STORAGE_PERMISSION',
      'ERROR_PERMISSION',
      false,
    ],
    ['no such bucket', async () => toBucket(`none-${newId()}`), 'STORAGE_BUCKET_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    [
      'refused',
      async () => toBucket('any', {}, { endpoint: `http://127.0.0.1:${await freePort()}` }),
      'STORAGE_UNREACHABLE',
      'ERROR_NETWORK',
      true,
    ],
  ];
  it.each(cases)('s3: %s', async (_, make, code, event, retryable) => {
    const path = await folderOf({ 'a.txt': 'a' });
    await expectFault(job(source('local', { path }, undefined), await make()), code, event, retryable);
  });

  it('s3: puts are denied once the job is at work', async () => {
    const bucket = await s3.createBucket();
    const all = `arn:aws:s3:::${bucket}`;
    const allowed = { Effect: 'Allow', Action: 's3:*', Resource: [all, `${all}/*`] };
    await setPolicy(bucket, [allowed]);
    const path = await folderOf({ 'a.txt': 'a' });
    const running = job(source('local', { path }, undefined), toBucket(bucket, keysOf(await s3.createUser())));
    await platform.backup(running);
    await setPolicy(bucket, [allowed, { Effect: 'Deny', Action: 's3:PutObject', Resource: [`${all}/*`] }]);
    await writeFile(join(path, 'b.txt'), 'b');
    await expectFault(running, 'STORAGE_PERMISSION', 'ERROR_PERMISSION', false);
  });

  it('s3: the account is full', async () => {
    const small = await s3.createUser({ maxBytes: 100_000 });
    const bucket = `q-${newId()}`;
    await signedRequest({ ...s3, ...small, method: 'PUT', path: `/${bucket}` });
    const path = await folderOf({ 'a.bin': 'a'.repeat(300_000) });
    const to = toBucket(bucket, keysOf(small));
    await expectFault(job(source('local', { path }, undefined), to), 'STORAGE_FULL', 'ERROR_STORAGE_FULL', true);
  });
});

type Statement = Readonly<Record<'Effect' | 'Action' | 'Resource', string | string[]>>;

/** Others than the owner may do so much. */
async function setPolicy(bucket: string, statements: readonly Statement[]): Promise<void> {
  const Statement = statements.map((statement) => ({ Principal: '*', ...statement }));
  const body = JSON.stringify({ Version: '2012-10-17', Statement });
  await signedRequest({ ...s3, method: 'PUT', path: `/${bucket}`, query: 'policy=', body });
}

describe('single items', () => {
  it('an unreadable file and an unreadable directory are warnings; the rest is there and nothing is removed', async () => {
    const path = await mkdtemp(join(sshd.dataDir, 'items-'));
    await mkdir(join(path, 'closed'));
    for (const name of ['a.txt', 'b.txt', 'gone.txt', 'closed/c.txt']) await writeFile(join(path, name), name);
    for (const name of ['', 'closed', 'a.txt', 'b.txt', 'gone.txt', 'closed/c.txt']) {
      await chown(join(path, name), sshd.user.uid, sshd.user.gid);
    }
    const running = job(overSftp({ path }));
    expect((await platform.backup(running)).result.snapshot.file_count).toBe(4);

    await writeFile(join(path, 'b.txt'), 'b.txt, changed');
    await chown(join(path, 'b.txt'), 0, 0);
    await chmod(join(path, 'b.txt'), 0o600);
    await chown(join(path, 'closed'), 0, 0);
    await chmod(join(path, 'closed'), 0o700);
    await rm(join(path, 'gone.txt'));
    await writeFile(join(path, 'new.txt'), 'new');
    const { result, told } = await platform.backup(running);
    const named = told.events.filter(({ type }) => type === 'warning').map(({ params }) => params.item);
    expect(named.sort()).toEqual(['b.txt', 'closed']);
    expect(told.warnings).toBe(2);
    expectDiscreet(told);
    // a, the old b, what was in the closed directory, and the new one.
    expect(result.snapshot.file_count).toBe(4);
    expect(told.events.at(-1)).toMatchObject({ type: 'summary', code: 'COMPLETED_WARNING' });
  });

  it('a run without changes says so', async () => {
    const path = await folderOf({ 'a.txt': 'a' });
    const running = job(source('local', { path }, undefined));
    expect((await platform.backup(running)).told.events.at(-1)).toMatchObject({ code: 'COMPLETED_SUCCESS' });
    expect((await platform.backup(running)).told.events.at(-1)).toMatchObject({ code: 'NO_CHANGES' });
  });
});
