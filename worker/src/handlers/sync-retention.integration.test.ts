import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { SpecInput } from '@xvault/shared/run-kinds.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectS3 } from '../storage/s3-client.ts';
import { S3Objects } from '../storage/s3-objects.ts';
import { accessTo } from '../testing/s3.ts';
import { makeSyncPlatform, type SyncJob, type SyncPlatform } from './sync-context.test-kit.ts';
import { crypt, folderOf, jobOf, local, restoreTo, toBucket } from './sync-places.test-kit.ts';
import { handleSyncRetention } from './sync-snapshot.ts';

let platform: SyncPlatform;
beforeAll(async () => {
  platform = await makeSyncPlatform();
});
afterAll(() => platform.remove());

type Made = Awaited<ReturnType<SyncPlatform['backup']>>;

async function forget(job: SyncJob, made: Made, keep: readonly Made[]): Promise<void> {
  const keep_versions = keep.flatMap(({ result: { snapshot } }) =>
    snapshot.locator.storage_backend === 'rclone' ? [snapshot.locator.version] : [],
  );
  const spec: SpecInput<'retention'> = { kind: 'retention', snapshot: platform.refOf(job, made.result), keep_versions };
  const secrets = { destination: job.destination.secret, crypt: job.crypt ?? null };
  await handleSyncRetention((await platform.contextOf<'retention'>(spec, secrets)).context, platform.deps);
}

async function opened() {
  const s3 = await sharedS3();
  const bucket = await s3.createBucket();
  const connection = await connectS3(accessTo(s3, bucket));
  const { client } = connection;
  return {
    to: toBucket(s3, bucket, {}, { prefix: 'kept' }),
    connection,
    keys: async () => {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
      return Contents.map(({ Key = '' }) => Key);
    },
    beginUpload: (Key: string) => client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key })),
    uploads: async () => {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      return Uploads.map(({ Key = '' }) => Key);
    },
  };
}

describe('versions in a bucket that are deleted', () => {
  it.each([{}, { crypt }])('one after the other leave the sentinel alone: $crypt', async (more) => {
    const { to, keys } = await opened();
    const path = await folderOf(platform, { 'a.txt': 'first', 'sub/b.txt': 'b' });
    const job = jobOf(local(path), to, more);
    const first = await platform.backup(job);
    await writeFile(join(path, 'a.txt'), 'second, longer');
    const second = await platform.backup(job);
    expect(await keys()).toHaveLength(6);
    await forget(job, first, [second]);
    expect(await keys()).toHaveLength(4);
    expect((await restoreTo(platform, job, second, {})).result.file_count).toBe(2);
    await forget(job, second, []);
    expect(await keys()).toHaveLength(1);
    await forget(job, second, []);
    const third = await platform.backup(job);
    // An answer that was lost: the deletion comes again when there is another version.
    await forget(job, first, []);
    expect((await restoreTo(platform, job, third, {})).result.file_count).toBe(2);
  });

  it('do not end what another run may be uploading', async () => {
    const { to, beginUpload, uploads, connection } = await opened();
    const job = jobOf(local(await folderOf(platform, { 'a.txt': 'a' })), to);
    const made = await platform.backup(job);
    const key = `kept/tenants/tenant/sources/source/sync/${job.jobId}/current/big.bin`;
    await beginUpload(key);
    await forget(job, made, []);
    expect(await uploads()).toEqual([key]);
    const objects = new S3Objects(connection, { prefix: '', signal: new AbortController().signal });
    expect(await objects.abortUploads('kept/', new Date(Date.now() - 3_600_000))).toBe(0);
    expect(await objects.abortUploads('kept/', new Date(Date.now() + 3_600_000))).toBe(1);
    expect(await uploads()).toEqual([]);
  });
});
