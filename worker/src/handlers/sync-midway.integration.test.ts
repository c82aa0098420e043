import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { newId } from '@xvault/shared/ids.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { expect, it } from 'vitest';
import { makeSyncPlatform, type SyncJob, type SyncPlatform } from './sync-context.test-kit.ts';
import { expectDiscreet } from './sync-faults.test-kit.ts';
import { disk, folderOf, jobOf, keysOf, local, restoreTo, toBucket } from './sync-places.test-kit.ts';

const run = promisify(execFile);
const mebibyte = 2 ** 20;
const slowly = { bandwidth_limit_bps: 3 * mebibyte };

/** What the next run makes, once nothing is in its way, is whole. */
async function expectNextIsWhole(platform: SyncPlatform, job: SyncJob, path: string): Promise<void> {
  const made = await platform.backup({ ...job, options: {} });
  expect(made.told.warnings).toBe(0);
  const to = join(platform.root, newId());
  await mkdir(to);
  await restoreTo(platform, job, made, { target: { type: 'directory', path: to }, export_id: null });
  for (const name of await readdir(path)) {
    expect((await readFile(join(to, name))).equals(await readFile(join(path, name))), name).toBe(true);
  }
}

async function manifestsOf(platform: SyncPlatform, { jobId }: SyncJob): Promise<string[]> {
  const { XVAULT_STORAGE_DIR } = platform.config;
  return readdir(join(XVAULT_STORAGE_DIR, 'tenants/tenant/sources/source/sync', jobId, 'manifests'));
}

it('a disk that fills up while a sync writes to it: the run says so, and makes no version', async () => {
  const small = await mkdtemp(join(tmpdir(), 'xvault-sync-small-'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small]);
  const platform = await makeSyncPlatform({ XVAULT_STORAGE_DIR: join(small, 'storage') });
  try {
    const path = await folderOf(platform, { a: 'a' });
    const job = jobOf(local(path), disk, { options: slowly });
    await platform.backup(job);
    await writeFile(join(path, 'large'), Buffer.alloc(12 * mebibyte, 'large'));
    const failing = platform.failedBackup(job);
    const current = join(small, 'storage/tenants/tenant/sources/source/sync', job.jobId, 'current');
    const written = async () => {
      const names = await readdir(current);
      const sizes = await Promise.all(names.map((name) => stat(join(current, name)).then(({ size }) => size)));
      return Math.max(...sizes);
    };
    await until('some of it', async () => (await written()) > mebibyte);
    await run('sh', ['-c', 'cat /dev/zero > "$1" || true', 'sh', join(small, 'filler')]);
    const { error, told } = await failing;
    expect(error).toMatchObject({ code: 'STORAGE_FULL', retryable: true });
    expect(told.events.at(-1)).toMatchObject({ type: 'error', code: 'ERROR_STORAGE_FULL' });
    expectDiscreet(platform, told, [small]);
    expect(await manifestsOf(platform, job)).toHaveLength(1);
    await rm(join(small, 'filler'));
    await expectNextIsWhole(platform, job, path);
  } finally {
    await platform.remove();
    await run('umount', [small]);
    await rm(small, { recursive: true });
  }
});

it('a bucket that refuses from the middle of a sync on: the run says so, and makes no version', async () => {
  const s3 = await sharedS3();
  const platform = await makeSyncPlatform();
  const bucket = await s3.createBucket();
  const all = `arn:aws:s3:::${bucket}`;
  const allow = async (more: readonly object[]) => {
    const every = { Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: [all, `${all}/*`] };
    const body = JSON.stringify({ Version: '2012-10-17', Statement: [every, ...more] });
    await signedRequest({ ...s3, path: `/${bucket}`, method: 'PUT', query: 'policy=', body });
  };
  try {
    await allow([]);
    const names = Array.from({ length: 12 }, (_, at) => `file ${at}`);
    const path = await folderOf(platform, { first: 'first' });
    const job = jobOf(local(path), toBucket(s3, bucket, keysOf(await s3.createUser())), {
      options: { ...slowly, transfers: 1 },
    });
    await platform.backup(job);
    for (const name of names) await writeFile(join(path, name), Buffer.alloc(mebibyte, name));
    const failing = platform.failedBackup(job);
    const prefix = `tenants/tenant/sources/source/sync/${job.jobId}/`;
    const listed = (below: string) =>
      signedRequest({
        ...s3,
        method: 'GET',
        path: `/${bucket}`,
        query: `list-type=2&prefix=${encodeURIComponent(prefix + below)}`,
      });
    await until('some of it', async () => (await listed('current/')).split('<Key>').length > 4);
    await allow([{ Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `${all}/*` }]);
    const { error, told } = await failing;
    expect(error).toMatchObject({ code: 'STORAGE_PERMISSION', retryable: false });
    expect(told.events.at(-1)).toMatchObject({ type: 'error', code: 'ERROR_PERMISSION' });
    expectDiscreet(platform, told, [s3.secretKey, bucket]);
    expect((await listed('manifests/')).split('<Key>')).toHaveLength(2);
    await allow([]);
    await expectNextIsWhole(platform, job, path);
  } finally {
    await platform.remove();
  }
});
