import type { S3Secret, S3SourceConfig } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../../net/guard.ts';
import type { TargetConnector } from '../target.ts';
import { openBucket } from './bucket.ts';

/** Buckets that files are restored to. An object is there whole or not at all. */
export function createS3Target({ guard }: { readonly guard: AddressGuard }): TargetConnector<S3SourceConfig, S3Secret> {
  return {
    async connectTarget(config, secret, rootPath, signal) {
      const bucket = await openBucket(guard, config, secret, rootPath.replace(/^\/+/, ''));
      const { S3Target } = await import('./target-session.ts');
      const session = new S3Target(bucket, signal);
      // Says at once when there is no way in.
      await session.stat(Buffer.from('.'));
      return session;
    },
  };
}
