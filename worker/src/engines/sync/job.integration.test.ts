import { mkdir, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type JobOptions, runJob } from './job.ts';
import { type Rclone, startRclone } from './rclone/process.ts';
import { makeRunDirectory, type RunDirectory } from './rclone/run-directory.ts';

const gib = 1024 ** 3;
let s3: Awaited<ReturnType<typeof sharedS3>>;
let directory: RunDirectory;
let rclone: Rclone;
beforeEach(async () => {
  s3 = await sharedS3();
  directory = await makeRunDirectory();
  const keys = `access_key_id = ${s3.accessKey}\nsecret_access_key = ${s3.secretKey}`;
  const bucket = `[s3]\ntype = s3\nprovider = Ceph\nendpoint = ${s3.endpoint}\nregion = ${s3.region}\n${keys}\n`;
  rclone = await startRclone({
    binary: 'rclone',
    directory: directory.path,
    config: { text: `[disk]\ntype = local\n${bucket}` },
    onLine: () => undefined,
    signal: new AbortController().signal,
  });
});
afterEach(async () => {
  await rclone.close();
  await directory.remove();
});

/** A large file that takes no room. */
async function makeLarge(folder: string, mtime: number): Promise<void> {
  await mkdir(join(directory.path, folder));
  const path = join(directory.path, folder, 'large');
  await writeFile(path, '');
  await truncate(path, 2 * gib);
  await utimes(path, mtime, mtime);
}

/** Shorter than the silence, in which the figures are looked at more than once. */
const impatient: Pick<JobOptions, 'stallMs' | 'onStall'> = {
  stallMs: 300,
  onStall: () => {
    throw new Error('it stalled');
  },
};

it('a large object whose hash is made before it is uploaded is no stalled one', async () => {
  await makeLarge('from', 1);
  const bucket = await s3.createBucket();
  const stop = new AbortController();
  const uploading = runJob(rclone.rc, {
    ...impatient,
    method: 'sync/copy',
    input: { srcFs: `disk:${directory.path}/from`, dstFs: `s3:${bucket}` },
    group: 'upload',
    onStats: ({ bytes }) => {
      if (bytes > 0) stop.abort(new Error('it moves'));
    },
    signal: stop.signal,
  });
  await expect(uploading).rejects.toThrow('it moves');
});

it('large objects that are compared by their hashes are no stalled ones', async () => {
  await makeLarge('from', 1);
  await makeLarge('to', 2);
  const compared = await runJob(rclone.rc, {
    ...impatient,
    method: 'sync/copy',
    input: {
      srcFs: `disk:${directory.path}/from`,
      dstFs: `disk:${directory.path}/to`,
      _config: { CheckSum: true },
    },
    group: 'compare',
    onStats: () => undefined,
    signal: new AbortController().signal,
  });
  expect(compared).toMatchObject({ error: null, stats: { checks: 1, transfers: 0 } });
});
