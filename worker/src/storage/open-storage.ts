import { type DestinationConnection, destinationSecrets } from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { Locator } from '@xvault/shared/snapshots.ts';
import type { WorkerConfig } from '../config.ts';
import { createAddressGuard } from '../net/guard.ts';
import { localPathOf, placeOfLocalPath } from './local-fs-paths.ts';
import { openSecretOfDestination } from './open-sealed.ts';
import type { S3Access } from './s3-client.ts';
import type { S3ObjectSettings } from './s3-multipart.ts';
import type { S3Objects } from './s3-objects.ts';
import type { SnapshotPlace, SnapshotStorage } from './storage.ts';

export interface StorageDeps {
  readonly config: WorkerConfig;
  /** This worker's disk. */
  readonly storage: SnapshotStorage;
  readonly workerId: string;
}

export interface StorageRequest {
  readonly destination: DestinationConnection;
  /** Sealed to the credentials recipient; null where the destination has no secret. */
  readonly sealed: string | null;
  /** Ends requests with its reason. */
  readonly signal: AbortSignal;
  /** Prefix of a snapshot that is there, which may be another than the destination's own by now. */
  readonly prefix?: string;
  /** Narrows `list` to the snapshots of one source. */
  readonly listOnly?: { readonly tenantId: string; readonly sourceId: string };
}

export interface OpenedStorage {
  readonly storage: SnapshotStorage;
  /** For objects beside snapshots; null on a worker's disk. */
  readonly objects: S3Objects | null;
  /** Of a snapshot that was published. Throws ARTIFACT_MISSING when it is not there. */
  locatorOf(place: SnapshotPlace): Promise<Locator>;
}

/** Throws STORAGE_NOT_CONFIGURED, ERR_DECRYPT_DEST_…. Connects to nothing yet, and needs no closing. */
export async function openStorage(request: StorageRequest, deps: StorageDeps): Promise<OpenedStorage> {
  const { destination } = request;
  switch (destination.type) {
    case 'local_fs':
      return openLocal(deps);
    case 's3': {
      const identities = [deps.config.XVAULT_CREDENTIALS_IDENTITY];
      const secret = await openSecretOfDestination(destinationSecrets.s3, request.sealed, identities);
      const { endpoint, region, bucket, path_style, ca_pem, prefix, ...settings } = destination.config;
      const guard = createAddressGuard({ allow: deps.config.XVAULT_ALLOW_NETWORKS });
      const access = { endpoint, region, bucket, pathStyle: path_style, caPem: ca_pem, secret, guard };
      return openS3(request, access, prefix, {
        storageClass: settings.storage_class,
        serverSideEncryption: settings.server_side_encryption,
        kmsKeyId: settings.kms_key_id,
      });
    }
    case 'platform_s3': {
      const { access, prefix, settings } = platformS3(deps.config);
      return openS3(request, access, prefix, settings);
    }
    default:
      throw new XVaultError('STORAGE_NOT_CONFIGURED', {
        detail: `no snapshot storage of type ${destination.type}`,
      });
  }
}

function openLocal({ storage, workerId }: StorageDeps): OpenedStorage {
  return {
    storage,
    objects: null,
    locatorOf: async (place) => ({
      storage_backend: 'local_fs',
      worker_id: workerId,
      local_path: localPathOf(place),
    }),
  };
}

async function openS3(
  request: StorageRequest,
  access: S3Access,
  configuredPrefix: string,
  settings: S3ObjectSettings,
): Promise<OpenedStorage> {
  // The SDK takes tens of megabytes: only workers that meet a bucket load it.
  const [{ connectS3 }, { S3Objects }, { createS3Storage }] = await Promise.all([
    import('./s3-client.ts'),
    import('./s3-objects.ts'),
    import('./s3.ts'),
  ]);
  const prefix = request.prefix ?? configuredPrefix;
  const objects = new S3Objects(connectS3(access), { prefix, settings, signal: request.signal });
  const { listOnly } = request;
  const storage = createS3Storage(
    objects,
    listOnly === undefined ? undefined : `tenants/${listOnly.tenantId}/sources/${listOnly.sourceId}/snapshots/`,
  );
  return {
    storage,
    objects,
    async locatorOf(place) {
      const found = await storage.stat(place, 'backup.tar.zst.enc');
      if (found === null) throw new XVaultError('ARTIFACT_MISSING', { detail: 'the artifact is not there' });
      return {
        storage_backend: 's3',
        bucket: access.bucket,
        object_key: objects.fullKey(localPathOf(place)),
        etag: found.etag,
      };
    },
  };
}

/** The platform's bucket as this worker's operator gave it. Throws STORAGE_NOT_CONFIGURED. */
function platformS3(config: WorkerConfig): { access: S3Access; prefix: string; settings: S3ObjectSettings } {
  const { XVAULT_S3_BUCKET, XVAULT_S3_ACCESS_KEY_ID, XVAULT_S3_SECRET_ACCESS_KEY } = config;
  if (!XVAULT_S3_BUCKET || !XVAULT_S3_ACCESS_KEY_ID || !XVAULT_S3_SECRET_ACCESS_KEY) {
    throw new XVaultError('STORAGE_NOT_CONFIGURED', {
      detail: 'XVAULT_S3_BUCKET, XVAULT_S3_ACCESS_KEY_ID and XVAULT_S3_SECRET_ACCESS_KEY are not all set',
    });
  }
  return {
    access: {
      endpoint: config.XVAULT_S3_ENDPOINT ?? null,
      region: config.XVAULT_S3_REGION,
      bucket: XVAULT_S3_BUCKET,
      pathStyle: config.XVAULT_S3_PATH_STYLE,
      caPem: config.XVAULT_S3_CA_PEM ?? null,
      secret: { access_key_id: XVAULT_S3_ACCESS_KEY_ID, secret_access_key: XVAULT_S3_SECRET_ACCESS_KEY },
      // The operator's own address.
      guard: null,
    },
    prefix: config.XVAULT_S3_PREFIX ?? '',
    settings: {
      storageClass: config.XVAULT_S3_STORAGE_CLASS ?? null,
      serverSideEncryption: config.XVAULT_S3_SERVER_SIDE_ENCRYPTION,
      kmsKeyId: config.XVAULT_S3_KMS_KEY_ID ?? null,
    },
  };
}

/** Where a locator points: the prefix (null on a disk) and the place below it. Throws ARTIFACT_MISSING. */
export function placeOfLocator(locator: Locator): { readonly prefix: string | null; readonly place: SnapshotPlace } {
  switch (locator.storage_backend) {
    case 'local_fs':
      return { prefix: null, place: placeOfLocalPath(locator.local_path) };
    case 's3': {
      const at = locator.object_key.lastIndexOf('tenants/');
      const prefix = locator.object_key.slice(0, Math.max(at, 0));
      return { prefix, place: placeOfLocalPath(locator.object_key.slice(prefix.length)) };
    }
    default:
      throw new XVaultError('ARTIFACT_MISSING', { detail: 'no artifact is stored there' });
  }
}
