import { newId } from '@xvault/shared/ids.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import { expectFault, type FaultCase } from './sync-faults.test-kit.ts';
import { fromBucket, jobOf, keysOf, local, overFtp, overSftp, overSmb, overWebdav } from './sync-places.test-kit.ts';

let platform: SyncPlatform;
let sshd: TestSshd;
let ftp: TestVsftpd;
let samba: TestSamba;
let webdav: TestWebdav;
let s3: Awaited<ReturnType<typeof sharedS3>>;

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

const secrets = () => [sshd.user.password, ftp.password, samba.password, webdav.password, s3.secretKey, s3.accessKey];

describe('a source that cannot be reached', () => {
  const none = { path: '/nowhere/at/all' };
  const cases: readonly FaultCase<WithSecret<SourceConnection>>[] = [
    [
      'sftp: wrong password',
      () => overSftp(sshd, {}, { password: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      'sftp: another host key',
      () => overSftp(sshd, {}, {}, `SHA256:${'A'.repeat(43)}`),
      'SSH_HOST_KEY_CHANGED',
      'ERROR_AUTH',
      false,
    ],
    ['sftp: unknown host key', () => overSftp(sshd, {}, {}, null), 'SSH_HOST_KEY_UNKNOWN', 'ERROR_AUTH', false],
    [
      'sftp: no such host',
      () => overSftp(sshd, { host: 'no-such-host.invalid' }),
      'SOURCE_HOST_UNKNOWN',
      'ERROR_NETWORK',
      true,
    ],
    [
      'sftp: refused',
      async () => overSftp(sshd, { port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    ['sftp: no such path', () => overSftp(sshd, none), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    ['sftp: forbidden path', () => overSftp(sshd, { path: '/root' }), 'SOURCE_PERMISSION', 'ERROR_PERMISSION', false],
    ['ftp: wrong password', () => overFtp(ftp, {}, { password: 'wrong' }), 'SOURCE_AUTH_FAILED', 'ERROR_AUTH', false],
    [
      'ftp: refused',
      async () => overFtp(ftp, { port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    ['ftp: no such path', () => overFtp(ftp, none), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    ['smb: wrong password', () => overSmb(samba, {}, { password: 'wrong' }), 'SOURCE_AUTH_FAILED', 'ERROR_AUTH', false],
    [
      'smb: no such share',
      () => overSmb(samba, { share: 'nothing' }),
      'SOURCE_PATH_NOT_FOUND',
      'ERROR_NOT_FOUND',
      false,
    ],
    ['smb: no such path', () => overSmb(samba, { path: 'nowhere' }), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    [
      'smb: refused',
      async () => overSmb(samba, { port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    [
      'webdav: wrong password',
      () => overWebdav(webdav, {}, { password: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      'webdav: no such path',
      () => overWebdav(webdav, { path: 'nowhere' }),
      'SOURCE_PATH_NOT_FOUND',
      'ERROR_NOT_FOUND',
      false,
    ],
    [
      'webdav: refused',
      async () => overWebdav(webdav, { url: `http://127.0.0.1:${await freePort()}/` }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    [
      's3: wrong secret',
      async () => fromBucket(s3, await s3.createBucket(), { secret_access_key: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      's3: unknown key',
      async () => fromBucket(s3, await s3.createBucket(), { access_key_id: 'NOBODY' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      's3: another account',
      async () => fromBucket(s3, await s3.createBucket(), keysOf(await s3.createUser())),
      'SOURCE_PERMISSION',
      'ERROR_PERMISSION',
      false,
    ],
    [
      's3: no such bucket',
      () => fromBucket(s3, `none-${newId()}`),
      'SOURCE_BUCKET_NOT_FOUND',
      'ERROR_NOT_FOUND',
      false,
    ],
    [
      's3: not TLS',
      async () => fromBucket(s3, await s3.createBucket(), {}, { endpoint: s3.endpoint.replace('http:', 'https:') }),
      'SOURCE_TLS_FAILED',
      'ERROR_NETWORK',
      false,
    ],
    ['local: no such path', () => local(none.path), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
  ];
  it.each(cases)('%s', async (_, make, code, event, retryable) => {
    await expectFault(platform, jobOf(await make()), [code, event, retryable], secrets());
  });
});
