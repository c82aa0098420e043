import { chown, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectS3 } from '../storage/s3-client.ts';
import { accessTo } from '../testing/s3.ts';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import {
  crypt,
  disk,
  folderOf,
  jobOf,
  local,
  overSftp,
  restoreTo,
  toBucket,
  toServer,
} from './sync-places.test-kit.ts';

const slowly = { bandwidth_limit_bps: 4 * 1024 * 1024 };
let platform: SyncPlatform;
let sshd: TestSshd;

beforeAll(async () => {
  [platform, sshd] = await Promise.all([makeSyncPlatform(), startSshd()]);
});
afterAll(() => Promise.all([platform.remove(), sshd.stop()]));

describe('an SFTP server', () => {
  it('a connection that breaks midway fails the run, and the next one goes on', async () => {
    const proxy = await startTcpProxy(sshd.port);
    try {
      const path = await folderOf(platform, { 'big.bin': Buffer.alloc(24 * 1024 * 1024, 'x'), 'a.txt': 'a' });
      const job = jobOf(local(path), toServer(sshd, { port: proxy.port }), { options: slowly });
      const running = platform.failedBackup(job);
      const cutting = setInterval(() => proxy.cut(), 700);
      const { error } = await running.finally(() => clearInterval(cutting));
      expect(error).toMatchObject({ retryable: true });
      expect(['STORAGE_UNREACHABLE', 'SOURCE_LOST']).toContain((error as { code: string }).code);
      const { result } = await platform.backup({ ...job, options: {} });
      expect(result.snapshot.source_bytes).toBe(24 * 1024 * 1024 + 1);
    } finally {
      await proxy.close();
    }
  });
});

describe('to S3', () => {
  it('a bucket that goes away midway fails the run; nothing of it is a version', async () => {
    const s3 = await sharedS3();
    const bucket = await s3.createBucket();
    const port = Number(new URL(s3.endpoint).port);
    const proxy = await startTcpProxy(port);
    const to = toBucket(s3, bucket, {}, { endpoint: `http://127.0.0.1:${proxy.port}` });
    try {
      const path = await folderOf(platform, { 'a.txt': 'a' });
      const job = jobOf(local(path), to, { crypt });
      const first = await platform.backup(job);
      await writeFile(join(path, 'big.bin'), Buffer.alloc(24 * 1024 * 1024, 'y'));
      const running = platform.failedBackup({ ...job, options: slowly });
      const begun = proxy.bytesToClients();
      await until('the run', () => proxy.bytesToClients() > begun);
      const cutting = setInterval(() => proxy.cut(), 300);
      const { error } = await running.finally(() => clearInterval(cutting));
      expect(error).toMatchObject({ retryable: true });
      const second = await platform.backup(job);
      expect(second.result.snapshot.file_count).toBe(2);
      expect((await restoreTo(platform, job, first, {})).result.file_count).toBe(1);
      expect((await restoreTo(platform, job, second, {})).result.bytes).toBe(24 * 1024 * 1024 + 1);
    } finally {
      await proxy.close();
    }
  });
});

describe('uploads that a killed attempt has left', () => {
  it('are aborted by the next one, and none of another place', async () => {
    const s3 = await sharedS3();
    const bucket = await s3.createBucket();
    const to = toBucket(s3, bucket, {}, { prefix: 'kept' });
    const job = jobOf(local(await folderOf(platform, { 'a.txt': 'a' })), to);
    const below = `kept/tenants/tenant/sources/source/sync/${job.jobId}`;
    await platform.backup(job);
    const client = (await connectS3(accessTo(s3, bucket))).client;
    for (const key of [`${below}/current/big.bin`, 'kept/of-somebody-else', `${below}-other/x`]) {
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }));
    }
    // Of the next epoch, as an attempt after a killed one is.
    await platform.backup(job);
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    expect(Uploads.map(({ Key }) => Key).sort()).toEqual(['kept/of-somebody-else', `${below}-other/x`].sort());
  });
});

describe('a source that falls silent', () => {
  it('is given up after a while', async () => {
    const proxy = await startTcpProxy(sshd.port);
    const folder = await mkdtemp(join(sshd.dataDir, 'silent-'));
    await writeFile(join(folder, 'big.bin'), Buffer.alloc(24 * 1024 * 1024));
    for (const path of [folder, join(folder, 'big.bin')]) await chown(path, sshd.user.uid, sshd.user.gid);
    try {
      const job = jobOf(overSftp(sshd, { port: proxy.port, path: folder }), disk, { options: slowly });
      const begun = proxy.bytesToClients();
      const stalling = until('the transfer', () => proxy.bytesToClients() > begun + 2 * 1024 * 1024).then(() =>
        proxy.stall(),
      );
      const { error } = await platform.failedBackup(job, undefined, { stallMs: 4000 });
      await stalling;
      expect(error).toMatchObject({ code: 'SYNC_STALLED', retryable: true });
    } finally {
      await proxy.close();
    }
  });
});
