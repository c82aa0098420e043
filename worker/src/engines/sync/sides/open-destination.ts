import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DestinationConnection,
  type S3DestinationConfig,
  type SftpDestinationConfig,
  s3DestinationConfig,
} from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { S3Secret, SftpSecret } from '@xvault/shared/sources.ts';
import type { Remote } from '../remotes/remote.ts';
import { joinRoot } from '../remotes/remote.ts';
import { s3Remote } from '../remotes/s3.ts';
import { requireReachableWeb } from './open-source.ts';
import { nothingToClose, type Side, type SideContext } from './side.ts';
import { openSshSide } from './ssh-side.ts';
import { asStorageError } from './storage-error.ts';

/** The platform's bucket as the worker's configuration has it. */
export interface PlatformS3 {
  readonly config: S3DestinationConfig;
  readonly secret: S3Secret;
}

export interface DestinationContext extends SideContext {
  /** Of this worker, for `local_fs`. */
  readonly storageDir: string;
  readonly platformS3: PlatformS3 | null;
}

/** Where a sync job keeps its versions: ids only, never a customer's words. */
export function syncPrefix(ids: {
  readonly tenantId: string;
  readonly sourceId: string;
  readonly jobId: string;
}): string {
  return `tenants/${ids.tenantId}/sources/${ids.sourceId}/sync/${ids.jobId}`;
}

/** Makes a destination reachable for rclone; the remote's root is the job's place. Throws STORAGE_…. */
export async function openDestination(
  destination: DestinationConnection,
  secret: unknown,
  prefix: string,
  context: DestinationContext,
): Promise<Side> {
  switch (destination.type) {
    case 'local_fs': {
      const root = join(context.storageDir, prefix);
      await mkdir(root, { recursive: true, mode: 0o700 });
      return sideOf({ options: { type: 'local' }, root, caPem: null, hashes: 'none' }, true);
    }
    case 's3':
      return openBucket(s3Remote(destination.config, secret as S3Secret), prefix, context);
    case 'platform_s3': {
      if (context.platformS3 === null) throw new XVaultError('STORAGE_NOT_CONFIGURED');
      const { config, secret: keys } = context.platformS3;
      return openBucket(s3Remote(s3DestinationConfig.parse(config), keys, 'operator'), prefix, context);
    }
    case 'sftp':
      return openServer(destination.config, secret as SftpSecret, prefix, context);
  }
}

async function openServer(
  config: SftpDestinationConfig,
  secret: SftpSecret,
  prefix: string,
  context: SideContext,
): Promise<Side> {
  try {
    const side = await openSshSide(config, config.host_key, secret, context);
    return { ...side, remote: { ...side.remote, root: joinRoot(config.path, prefix) } };
  } catch (error) {
    throw asStorageError(error);
  }
}

async function openBucket(remote: Remote, prefix: string, { guard, signal }: SideContext): Promise<Side> {
  try {
    await requireReachableWeb(guard, remote.web, signal);
  } catch (error) {
    throw asStorageError(error);
  }
  return sideOf({ ...remote, root: joinRoot(remote.root, prefix) }, false);
}

function sideOf(remote: Remote, listsMtimes: boolean): Side {
  return { remote, listsMtimes, close: nothingToClose };
}
