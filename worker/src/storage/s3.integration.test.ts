import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { connectToNewBucket } from '../testing/s3.ts';
import { describeSnapshotStorage } from './conformance.ts';
import { createS3Storage } from './s3.ts';
import { S3Objects } from './s3-objects.ts';

describeSnapshotStorage('s3', async () => {
  const connection = await connectToNewBucket(await sharedS3());
  const objects = new S3Objects(connection, { prefix: 'a/b', signal: new AbortController().signal });
  return {
    storage: createS3Storage(objects),
    attemptsSideBySide: false,
    close: async () => connection.close(),
  };
});
