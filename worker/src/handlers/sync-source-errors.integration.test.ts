import { newId } from '@xvault/shared/ids.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { WithSecret } from './sync-context.test-kit.ts';
import { expectFault, type FaultCase } from './sync-faults.test-kit.ts';
import { fromBucket, jobOf, keysOf, local, overFtp, overSftp, overSmb, overWebdav } from './sync-places.test-kit.ts';
import { type SyncServers, startSyncServers } from './sync-servers.test-kit.ts';

let servers: SyncServers;

beforeAll(async () => {
  servers = await startSyncServers();
});
afterAll(() => servers?.stop());

describe('a source that cannot be reached', () => {
  const none = { path: '/nowhere/at/all' };
  const cases: readonly FaultCase<WithSecret<SourceConnection>>[] = [
    [
      'sftp: wrong password',
      () => overSftp(servers.sshd, {}, { password: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      'sftp: another host key',
      () => overSftp(servers.sshd, {}, {}, `SHA256:${'A'.repeat(43)}`),
      'SSH_HOST_KEY_CHANGED',
      'ERROR_AUTH',
      false,
    ],
    ['sftp: unknown host key', () => overSftp(servers.sshd, {}, {}, null), 'SSH_HOST_KEY_UNKNOWN', 'ERROR_AUTH', false],
    [
      'sftp: no such host',
      () => overSftp(servers.sshd, { host: 'no-such-host.invalid' }),
      'SOURCE_HOST_UNKNOWN',
      'ERROR_NETWORK',
      true,
    ],
    [
      'sftp: refused',
      async () => overSftp(servers.sshd, { port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    ['sftp: no such path', () => overSftp(servers.sshd, none), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    [
      'sftp: forbidden path',
      () => overSftp(servers.sshd, { path: '/root' }),
      'SOURCE_PERMISSION',
      'ERROR_PERMISSION',
      false,
    ],
    [
      'ftp: wrong password',
      () => overFtp(servers.ftp, {}, { password: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      'ftp: refused',
      async () => overFtp(servers.ftp, { port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    ['ftp: no such path', () => overFtp(servers.ftp, none), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
    [
      'smb: wrong password',
      () => overSmb(servers.samba, {}, { password: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      'smb: no such share',
      () => overSmb(servers.samba, { share: 'nothing' }),
      'SOURCE_PATH_NOT_FOUND',
      'ERROR_NOT_FOUND',
      false,
    ],
    [
      'smb: no such path',
      () => overSmb(servers.samba, { path: 'nowhere' }),
      'SOURCE_PATH_NOT_FOUND',
      'ERROR_NOT_FOUND',
      false,
    ],
    [
      'smb: refused',
      async () => overSmb(servers.samba, { port: await freePort() }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    [
      'webdav: wrong password',
      () => overWebdav(servers.webdav, {}, { password: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      'webdav: no such path',
      () => overWebdav(servers.webdav, { path: 'nowhere' }),
      'SOURCE_PATH_NOT_FOUND',
      'ERROR_NOT_FOUND',
      false,
    ],
    [
      'webdav: refused',
      async () => overWebdav(servers.webdav, { url: `http://127.0.0.1:${await freePort()}/` }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    [
      's3: wrong secret',
      async () => fromBucket(servers.s3, await servers.s3.createBucket(), { secret_access_key: 'wrong' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      's3: unknown key',
      async () => fromBucket(servers.s3, await servers.s3.createBucket(), { access_key_id: 'NOBODY' }),
      'SOURCE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      's3: another account',
      async () => fromBucket(servers.s3, await servers.s3.createBucket(), keysOf(await servers.s3.createUser())),
      'SOURCE_PERMISSION',
      'ERROR_PERMISSION',
      false,
    ],
    [
      's3: no such bucket',
      () => fromBucket(servers.s3, `none-${newId()}`),
      'SOURCE_BUCKET_NOT_FOUND',
      'ERROR_NOT_FOUND',
      false,
    ],
    [
      's3: not TLS',
      async () =>
        fromBucket(
          servers.s3,
          await servers.s3.createBucket(),
          {},
          { endpoint: servers.s3.endpoint.replace('http:', 'https:') },
        ),
      'SOURCE_TLS_FAILED',
      'ERROR_NETWORK',
      false,
    ],
    ...noSuchHost('ftp', (host) => overFtp(servers.ftp, { host })),
    ...noSuchHost('smb', (host) => overSmb(servers.samba, { host })),
    ...noSuchHost('webdav', (host) => overWebdav(servers.webdav, { url: `http://${host}/` })),
    ...noSuchHost('s3', (host) => fromBucket(servers.s3, 'bucket', {}, { endpoint: `http://${host}` })),
    [
      's3: refused',
      async () => fromBucket(servers.s3, 'bucket', {}, { endpoint: `http://127.0.0.1:${await freePort()}` }),
      'SOURCE_CONNECTION_REFUSED',
      'ERROR_NETWORK',
      true,
    ],
    ['local: no such path', () => local(none.path), 'SOURCE_PATH_NOT_FOUND', 'ERROR_NOT_FOUND', false],
  ];
  it.each(cases)('%s', async (_, make, code, event, retryable) => {
    await expectFault(servers.platform, jobOf(await make()), [code, event, retryable], servers.secrets);
  });
});

function noSuchHost(
  kind: string,
  make: (host: string) => WithSecret<SourceConnection>,
): FaultCase<WithSecret<SourceConnection>>[] {
  const told = ['SOURCE_HOST_UNKNOWN', 'ERROR_NETWORK', true] as const;
  return [[`${kind}: no such host`, () => make('no-such-host.invalid'), ...told]];
}
