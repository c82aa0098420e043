import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syncPrefix } from '../engines/sync/sides/open-destination.ts';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { folderOf, jobOf, local, toBucket } from './sync-places.test-kit.ts';

let platform: SyncPlatform;
let s3: Awaited<ReturnType<typeof sharedS3>>;
beforeAll(async () => {
  [platform, s3] = await Promise.all([makeSyncPlatform(), sharedS3()]);
});
afterAll(() => platform.remove());

async function begin() {
  const bucket = await s3.createBucket();
  const path = await folderOf(platform, { 'a.txt': 'content a', 'deep/b.txt': 'content b' });
  const job = jobOf(local(path), toBucket(s3, bucket));
  await platform.backup(job);
  const prefix = syncPrefix({ tenantId: 'tenant', sourceId: 'source', jobId: job.jobId });
  const object = (name: string) => ({ ...s3, path: `/${bucket}/${prefix}/current/${name}` });
  const end = async () => (await platform.backup(job)).told.events.at(-1);
  return { object, end };
}

describe('a run that finds the source as it was', () => {
  it('says so when the bucket is as it was too', async () => {
    const { end } = await begin();
    expect(await end()).toMatchObject({ code: 'NO_CHANGES' });
    expect(await end()).toMatchObject({ code: 'NO_CHANGES' });
  });

  it('brings over again what has gone from the bucket', async () => {
    const { object, end } = await begin();
    await signedRequest({ ...object('a.txt'), method: 'DELETE' });
    expect(await end()).toMatchObject({ code: 'COMPLETED_SUCCESS', params: { transfers: 1 } });
    expect(await signedRequest({ ...object('a.txt'), method: 'GET' })).toBe('content a');
    expect(await end()).toMatchObject({ code: 'NO_CHANGES' });
  });

  it('brings over again what somebody replaced by as many other bytes', async () => {
    const { object, end } = await begin();
    await signedRequest({ ...object('deep/b.txt'), method: 'PUT', body: 'Content B' });
    expect(await end()).toMatchObject({ code: 'COMPLETED_SUCCESS', params: { transfers: 1 } });
    expect(await signedRequest({ ...object('deep/b.txt'), method: 'GET' })).toBe('content b');
  });

  it('takes away what somebody put beside it', async () => {
    const { object, end } = await begin();
    await signedRequest({ ...object('foreign.txt'), method: 'PUT', body: 'foreign' });
    expect((await end())?.level).not.toBe('error');
    await expect(signedRequest({ ...object('foreign.txt'), method: 'GET' })).rejects.toThrow('404');
  });
});
