import { destinationConnection } from '@xvault/shared/destinations.ts';
import { sourceConnection } from '@xvault/shared/sources.ts';
import { describe, expect, it } from 'vitest';
import { requireApart } from './overlap.ts';

const storageDir = '/var/lib/xvault/backups';
const prefix = 'tenants/t/sources/s/sync/j';
const local = (path: string) => sourceConnection.parse({ type: 'local', config: { path } });
const bucket = (name: string, more: object = {}) => ({ endpoint: 'https://s3.example.com', bucket: name, ...more });
const fromS3 = (config: object) => sourceConnection.parse({ type: 's3', config });
const toS3 = (config: object) => destinationConnection.parse({ type: 's3', config });
const server = { host: 'files.example.com', user: 'u', path: '/srv' };
const fromSftp = (more: object) =>
  sourceConnection.parse({ type: 'sftp', config: { ...server, ...more }, host_key: null });
const toSftp = (more: object) =>
  destinationConnection.parse({
    type: 'sftp',
    config: { ...server, host_key: `SHA256:${'A'.repeat(43)}`, ...more },
  });
const disk = destinationConnection.parse({ type: 'local_fs', config: {} });

describe('a source and a destination that lie within each other', () => {
  it.each([
    ['the destination below the source', local('/var/lib'), disk],
    ['the whole disk', local('/'), disk],
    ['the source below the destination', local(`${storageDir}/${prefix}/current`), disk],
    ['the same', local(`${storageDir}/${prefix}`), disk],
    ['a whole bucket and a prefix in it', fromS3(bucket('b')), toS3(bucket('b', { prefix: 'backups/' }))],
    ['a prefix above', fromS3(bucket('b', { prefix: 'x' })), toS3(bucket('b', { prefix: 'x/y' }))],
    ['a server’s directory above', fromSftp({}), toSftp({ path: '/srv/backups' })],
    ['a server by another spelling of its name', fromSftp({}), toSftp({ host: 'FILES.example.com' })],
  ] as const)('are refused: %s', (_, source, destination) => {
    expect(() => requireApart(source, destination, prefix, storageDir)).toThrow(
      expect.objectContaining({ code: 'SYNC_OVERLAP' }),
    );
  });

  it.each([
    ['apart on one disk', local('/home'), disk],
    ['names that begin alike', local(`${storageDir}/${prefix}-other`), disk],
    ['another bucket', fromS3(bucket('b')), toS3(bucket('c'))],
    ['another server with a bucket of that name', fromS3(bucket('b', { endpoint: null })), toS3(bucket('b'))],
    ['prefixes that begin alike', fromS3(bucket('b', { prefix: 'back' })), toS3(bucket('b', { prefix: 'backups' }))],
    ['another port of the host', fromSftp({}), toSftp({ port: 2222 })],
    ['other kinds', fromSftp({}), toS3(bucket('b'))],
  ] as const)('%s: let through', (_, source, destination) => {
    expect(() => requireApart(source, destination, prefix, storageDir)).not.toThrow();
  });
});
