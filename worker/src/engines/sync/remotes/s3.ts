import type { S3DestinationConfig } from '@xvault/shared/destinations.ts';
import type { S3Secret, S3SourceConfig } from '@xvault/shared/sources.ts';
import { joinRoot, type Remote } from './remote.ts';

type Config = S3SourceConfig | S3DestinationConfig;

export function s3Remote(config: Config, secret: S3Secret): Remote {
  const { endpoint, region, bucket, prefix, path_style } = config;
  return {
    options: {
      type: 's3',
      provider: endpoint === null ? 'AWS' : 'Other',
      env_auth: 'false',
      access_key_id: secret.access_key_id,
      secret_access_key: secret.secret_access_key,
      ...(secret.session_token === undefined ? {} : { session_token: secret.session_token }),
      region,
      ...(endpoint === null ? {} : { endpoint }),
      force_path_style: String(path_style),
      no_check_bucket: 'true',
      ...destinationOptions(config),
    },
    root: joinRoot(bucket, prefix.replace(/\/+$/, '')),
    caPem: config.ca_pem,
    hashes: 'listed',
  };
}

function destinationOptions(config: Config): Record<string, string> {
  if (!('storage_class' in config)) return {};
  const { storage_class, server_side_encryption, kms_key_id } = config;
  return {
    ...(storage_class === null ? {} : { storage_class }),
    ...(server_side_encryption === 'none' ? {} : { server_side_encryption }),
    ...(kms_key_id === null ? {} : { sse_kms_key_id: kms_key_id }),
  };
}
