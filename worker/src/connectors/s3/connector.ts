import { XVaultError } from '@xvault/shared/errors.ts';
import type { S3Secret, S3SourceConfig } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../../net/guard.ts';
import type { Connector, SourceProbe } from '../connector.ts';
import { asking, type Bucket, openBucket } from './bucket.ts';

export interface S3ConnectorOptions {
  readonly guard: AddressGuard;
}

const probedNames = 100;
const measureMs = 5000;

/** Sources that are buckets, or prefixes of one. */
export function createS3Connector({ guard }: S3ConnectorOptions): Connector<S3SourceConfig, S3Secret> {
  return {
    async connect(config, secret, signal) {
      const bucket = await openBucket(guard, config, secret);
      try {
        await firstNames(bucket, signal);
        const { s3Session } = await import('./session.ts');
        return s3Session(bucket);
      } catch (error) {
        bucket.connection.close();
        throw error;
      }
    },

    async probe(config, secret, signal): Promise<SourceProbe> {
      const bucket = await openBucket(guard, config, secret);
      try {
        const begun = performance.now();
        const entryNames = await firstNames(bucket, signal);
        const latencyMs = performance.now() - begun;
        return { hostKey: null, server: null, entryNames, latencyMs, measure: await measureFor(bucket, signal) };
      } finally {
        bucket.connection.close();
      }
    },
  };
}

/** Names directly below the prefix. Throws SOURCE_PATH_NOT_FOUND for a prefix that no key has. */
async function firstNames({ connection, prefix }: Bucket, signal: AbortSignal): Promise<string[]> {
  const { ListObjectsV2Command } = await import('@aws-sdk/client-s3');
  const { decodeListedKey } = await import('./keys.ts');
  const command = new ListObjectsV2Command({
    Bucket: connection.bucket,
    Prefix: prefix,
    Delimiter: '/',
    MaxKeys: probedNames,
    EncodingType: 'url',
  });
  const page = await asking('listing the bucket', signal, () =>
    connection.client.send(command, { abortSignal: signal }),
  );
  const found = [
    ...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix),
    ...(page.Contents ?? []).map(({ Key = '' }) => Key),
  ];
  if (found.length === 0 && prefix !== '') {
    throw new XVaultError('SOURCE_PATH_NOT_FOUND', { detail: `no key begins with ${prefix}` });
  }
  const names = found.map((key) => decodeListedKey(key).slice(prefix.length).replace(/\/$/, ''));
  return names.filter((name) => name !== '').sort();
}

/** Counts for a few seconds; what it had until then is told as not complete. */
async function measureFor(bucket: Bucket, signal: AbortSignal) {
  const { listPages } = await import('./list.ts');
  const timeout = AbortSignal.timeout(measureMs);
  const found = { fileCount: 0, totalBytes: 0, complete: false };
  try {
    for await (const page of listPages(bucket, AbortSignal.any([signal, timeout]))) {
      for (const { key, sizeBytes } of page) {
        if (key.endsWith('/')) continue;
        found.fileCount += 1;
        found.totalBytes += sizeBytes;
      }
    }
    found.complete = true;
  } catch (error) {
    if (!timeout.aborted || signal.aborted) throw error;
  }
  return found;
}
