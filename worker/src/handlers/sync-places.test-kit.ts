import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type DestinationConnection, destinationConnection } from '@xvault/shared/destinations.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { SpecInput } from '@xvault/shared/run-kinds.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import type { RadosgwAccess, S3Credentials } from '@xvault/shared/testing/radosgw.ts';
import type { TestSamba } from '@xvault/shared/testing/samba.ts';
import type { TestSshd } from '@xvault/shared/testing/sshd.ts';
import type { TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import type { TestWebdav } from '@xvault/shared/testing/webdav.ts';
import type { SyncJob, SyncPlatform, WithSecret } from './sync-context.test-kit.ts';
import { handleSyncRestore } from './sync-snapshot.ts';

type Source = WithSecret<SourceConnection>;
type Destination = WithSecret<DestinationConnection>;

export const crypt = { password: 'a password of the test', salt: 'a salt of the test too' };
/** On the worker's own disk. */
export const disk: Destination = { connection: { type: 'local_fs', config: {} } };

function source(type: string, config: object, secret: unknown, more: object = {}): Source {
  return { connection: sourceConnection.parse({ type, config, ...more }), secret };
}

export function local(path: string): Source {
  return source('local', { path }, undefined);
}

export function overSftp(sshd: TestSshd, more: object = {}, secret: object = {}, hostKey?: string | null): Source {
  const config = { host: sshd.host, port: sshd.port, user: sshd.user.name, path: sshd.dataDir, ...more };
  const host_key = hostKey === undefined ? sshd.fingerprint() : hostKey;
  return source('sftp', config, { password: sshd.user.password, ...secret }, { host_key });
}

export function overFtp(ftp: TestVsftpd, more: object = {}, secret: object = {}): Source {
  const config = { host: ftp.host, port: ftp.port, user: ftp.user, path: '/', tls: 'none', ...more };
  return source('ftp', config, { password: ftp.password, ...secret });
}

export function overSmb(samba: TestSamba, more: object = {}, secret: object = {}): Source {
  const config = { host: samba.host, port: samba.port, user: samba.user, share: samba.share, ...more };
  return source('smb', config, { password: samba.password, ...secret });
}

export function overWebdav(webdav: TestWebdav, more: object = {}, secret: object = {}): Source {
  return source('webdav', { url: webdav.url, user: webdav.user, ...more }, { password: webdav.password, ...secret });
}

export function keysOf({ accessKey, secretKey }: S3Credentials) {
  return { access_key_id: accessKey, secret_access_key: secretKey };
}

export function fromBucket(s3: RadosgwAccess, bucket: string, secret: object = {}, more: object = {}): Source {
  const config = { endpoint: s3.endpoint, region: s3.region, bucket, ...more };
  return source('s3', config, { ...keysOf(s3), ...secret });
}

export function toBucket(s3: RadosgwAccess, bucket: string, secret: object = {}, more: object = {}): Destination {
  const config = { endpoint: s3.endpoint, region: s3.region, bucket, ...more };
  return { connection: destinationConnection.parse({ type: 's3', config }), secret: { ...keysOf(s3), ...secret } };
}

export function toServer(sshd: TestSshd, more: object = {}, secret: object = {}): Destination {
  const { host, port, user, dataDir: path } = sshd;
  const config = { host, port, user: user.name, path, host_key: sshd.fingerprint(), ...more };
  return {
    connection: destinationConnection.parse({ type: 'sftp', config }),
    secret: { private_key: sshd.privateKey, ...secret },
  };
}

export function jobOf(from: Source, to = disk, more: Partial<SyncJob> = {}): SyncJob {
  return { source: from, destination: to, jobId: newId(), ...more };
}

export async function folderOf(
  { root }: Pick<SyncPlatform, 'root'>,
  files: Readonly<Record<string, string | Buffer>>,
): Promise<string> {
  const folder = await mkdtemp(join(root, 'source-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

/** Restores what a run of a job has made; to an export unless said otherwise. */
export async function restoreTo(
  platform: SyncPlatform,
  job: SyncJob,
  made: Awaited<ReturnType<SyncPlatform['backup']>>,
  more: Partial<SpecInput<'restore'>>,
) {
  const spec: SpecInput<'restore'> = {
    kind: 'restore',
    snapshot: platform.refOf(job, made.result),
    paths: null,
    target: { type: 'export', format: 'tar.zst' },
    export_id: newId(),
    export_expires_at: new Date(Date.now() + 3_600_000).toISOString(),
    ...more,
  };
  const { context, told } = await platform.contextOf<'restore'>(spec, {
    destination: job.destination.secret,
    crypt: job.crypt ?? null,
  });
  return { result: await handleSyncRestore(context, platform.deps), told, exportId: spec.export_id ?? '' };
}
