import type { S3Secret, S3SourceConfig } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../../net/guard.ts';
import type { S3Connection } from '../../storage/s3-client.ts';
import { s3SourceError } from '../../storage/s3-errors.ts';

/** One prefix of a bucket. */
export interface Bucket {
  readonly connection: S3Connection;
  /** Empty, or ends with a slash. */
  readonly prefix: string;
  readonly parallelGets: number;
}

/** The SDK takes tens of megabytes: only workers that meet a bucket load it. */
export async function openBucket(
  guard: AddressGuard,
  config: S3SourceConfig,
  secret: S3Secret,
  prefix: string = config.prefix,
): Promise<Bucket> {
  const { connectS3 } = await import('../../storage/s3-client.ts');
  const { endpoint, region, bucket, path_style, ca_pem, parallel_gets } = config;
  const connection = connectS3({ endpoint, region, bucket, pathStyle: path_style, caPem: ca_pem, secret, guard });
  return {
    connection,
    prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`,
    parallelGets: parallel_gets,
  };
}

/** A request whose failure is the source's. */
export async function asking<T>(what: string, signal: AbortSignal, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (cause) {
    throw s3SourceError(cause, what, signal);
  }
}
