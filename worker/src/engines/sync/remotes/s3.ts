import type { S3DestinationConfig } from '@xvault/shared/destinations.ts';
import type { S3Secret, S3SourceConfig } from '@xvault/shared/sources.ts';
import { joinRoot, type Remote } from './remote.ts';
import type { WebAccess } from './web.ts';

type Config = S3SourceConfig | S3DestinationConfig;

/** `owner` is whose server it is, if it is not AWS. */
export function s3Remote(config: Config, secret: S3Secret, owner: 'customer' | 'operator' = 'customer'): Remote {
  const { endpoint, region, bucket, prefix } = config;
  // No certificate is of a name with more dots than usual.
  const pathStyle = config.path_style || (bucket.includes('.') && isSecure(endpoint));
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
      force_path_style: String(pathStyle),
      no_check_bucket: 'true',
      ...destinationOptions(config),
    },
    root: joinRoot(bucket, prefix.replace(/\/+$/, '')),
    caPem: config.ca_pem,
    hashes: 'listed',
    web: accessTo(config, pathStyle, owner),
  };
}

function accessTo({ endpoint, bucket, ca_pem: caPem }: Config, pathStyle: boolean, owner: string): WebAccess {
  if (endpoint === null) return { kind: 'provider', url: null };
  if (owner === 'operator') return { kind: 'operator', url: endpoint };
  const label = pathStyle ? null : bucket;
  const path = pathStyle ? `/${bucket}` : '';
  return { kind: 'server', url: endpoint, option: 'endpoint', label, path, signsHost: true, caPem };
}

function isSecure(endpoint: string | null): boolean {
  return endpoint !== null && new URL(endpoint).protocol === 'https:';
}

function destinationOptions(config: Config): Record<string, string> {
  if (!('storage_class' in config)) return {};
  const { storage_class, server_side_encryption, kms_key_id } = config;
  return {
    // What was stored is looked at by one listing before a version is committed, not by a request for each object.
    no_head: 'true',
    ...(storage_class === null ? {} : { storage_class }),
    ...(server_side_encryption === 'none' ? {} : { server_side_encryption }),
    ...(kms_key_id === null ? {} : { sse_kms_key_id: kms_key_id }),
  };
}
