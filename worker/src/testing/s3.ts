import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { createAddressGuard } from '../net/guard.ts';
import { connectS3, type S3Access, type S3Connection } from '../storage/s3-client.ts';

/** How to reach a bucket of a test server. */
export function accessTo(
  server: Pick<SharedRadosgw, 'endpoint' | 'region' | 'accessKey' | 'secretKey'>,
  bucket: string,
): S3Access {
  return {
    endpoint: server.endpoint,
    region: server.region,
    bucket,
    pathStyle: true,
    caPem: null,
    secret: { access_key_id: server.accessKey, secret_access_key: server.secretKey },
    guard: createAddressGuard({ allow: ['127.0.0.0/8'] }),
  };
}

export async function connectToNewBucket(server: SharedRadosgw): Promise<S3Connection> {
  return connectS3(accessTo(server, await server.createBucket()));
}
