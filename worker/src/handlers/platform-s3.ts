import { s3DestinationConfig } from '@xvault/shared/destinations.ts';
import type { WorkerConfig } from '../config.ts';
import type { PlatformS3 } from '../engines/sync/sides/open-destination.ts';

/** The platform's bucket as this worker's operator gave it; null when it is not set up. */
export function platformS3Of(config: WorkerConfig): PlatformS3 | null {
  const { XVAULT_S3_BUCKET: bucket, XVAULT_S3_ACCESS_KEY_ID, XVAULT_S3_SECRET_ACCESS_KEY } = config;
  if (!bucket || !XVAULT_S3_ACCESS_KEY_ID || !XVAULT_S3_SECRET_ACCESS_KEY) return null;
  return {
    config: s3DestinationConfig.parse({
      endpoint: config.XVAULT_S3_ENDPOINT ?? null,
      region: config.XVAULT_S3_REGION,
      bucket,
      prefix: config.XVAULT_S3_PREFIX ?? '',
      path_style: config.XVAULT_S3_PATH_STYLE,
      ca_pem: config.XVAULT_S3_CA_PEM ?? null,
      storage_class: config.XVAULT_S3_STORAGE_CLASS ?? null,
      server_side_encryption: config.XVAULT_S3_SERVER_SIDE_ENCRYPTION,
      kms_key_id: config.XVAULT_S3_KMS_KEY_ID ?? null,
    }),
    secret: { access_key_id: XVAULT_S3_ACCESS_KEY_ID, secret_access_key: XVAULT_S3_SECRET_ACCESS_KEY },
  };
}
