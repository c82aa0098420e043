import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { type DestinationConnection, destinationConnection } from '@xvault/shared/destinations.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { SpecInput } from '@xvault/shared/run-kinds.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectS3 } from '../storage/s3-client.ts';
import { accessTo } from '../testing/s3.ts';
import { makeSyncPlatform, type SyncJob, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import { probeSyncDestination } from './sync-probe.ts';
import { handleSyncRestore, handleSyncRetention, handleSyncValidation } from './sync-snapshot.ts';

const run = promisify(execFile);
const crypt = { password: 'a password of the test', salt: 'a salt of the test too' };
let platform: SyncPlatform;
let sshd: TestSshd;

beforeAll(async () => {
  [platform, sshd] = await Promise.all([makeSyncPlatform(), startSshd()]);
});
afterAll(() => Promise.all([platform.remove(), sshd.stop()]));

function toServer(more: object = {}, secret: object = {}): WithSecret<DestinationConnection> {
  const { host, port, user, dataDir: path } = sshd;
  const config = { host, port, user: user.name, path, host_key: sshd.fingerprint(), ...more };
  return {
    connection: destinationConnection.parse({ type: 'sftp', config }),
    secret: { private_key: sshd.privateKey, ...secret },
  };
}

async function folderOf(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const folder = await mkdtemp(join(platform.root, 'source-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

function jobOf(path: string, destination: WithSecret<DestinationConnection>, more: Partial<SyncJob> = {}): SyncJob {
  const connection: SourceConnection = { type: 'local', config: { path } };
  return { source: { connection }, destination, jobId: newId(), ...more };
}

async function restoreTo(
  job: SyncJob,
  made: Awaited<ReturnType<SyncPlatform['backup']>>,
  more: Partial<SpecInput<'restore'>>,
) {
  const spec: SpecInput<'restore'> = {
    kind: 'restore',
    snapshot: platform.refOf(job, made.result),
    paths: null,
    target: { type: 'export', format: 'tar.zst' },
    export_id: newId(),
    export_expires_at: new Date(Date.now() + 3_600_000).toISOString(),
    ...more,
  };
  const { context, told } = await platform.contextOf<'restore'>(spec, {
    destination: job.destination.secret,
    crypt: job.crypt ?? null,
  });
  return { result: await handleSyncRestore(context, platform.deps), told, exportId: spec.export_id ?? '' };
}

describe.each([{ encrypted: false }, { encrypted: true }])(
  'to an SFTP server, encrypted: $encrypted',
  ({ encrypted }) => {
    const more = encrypted ? { crypt } : {};

    it('versions are kept, validated, restored and forgotten', async () => {
      const path = await folderOf({ 'a.txt': 'first', 'sub/b.txt': 'b' });
      const job = jobOf(path, toServer(), more);
      const first = await platform.backup(job);
      expect(first.result.snapshot.locator).toMatchObject({ storage_backend: 'rclone', worker_id: null });
      await writeFile(join(path, 'a.txt'), 'second, longer');
      const second = await platform.backup(job);
      for (const made of [first, second]) {
        const spec: SpecInput<'validation'> = { kind: 'validation', snapshot: platform.refOf(job, made.result) };
        const secrets = { destination: job.destination.secret, crypt: job.crypt ?? null };
        const { context, told } = await platform.contextOf<'validation'>(spec, secrets);
        const found = await handleSyncValidation(context, platform.deps);
        expect(found).toMatchObject({ verdict: 'success', files_checked: 2, error_code: null });
        expect(told.events.at(-1)).toMatchObject({ type: 'summary', code: 'VALIDATION_PASSED' });
      }
      const target = join(platform.root, newId());
      await restoreTo(job, first, { target: { type: 'directory', path: target } });
      expect(await readFile(join(target, 'a.txt'), 'utf8')).toBe('first');
      const [keep] = [second.result.snapshot.locator].map((locator) => ('version' in locator ? locator.version : ''));
      const spec: SpecInput<'retention'> = {
        kind: 'retention',
        snapshot: platform.refOf(job, first.result),
        keep_versions: [keep ?? ''],
      };
      const secrets = { destination: job.destination.secret, crypt: job.crypt ?? null };
      await handleSyncRetention((await platform.contextOf<'retention'>(spec, secrets)).context, platform.deps);
      await expect(restoreTo(job, first, {})).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
      expect((await restoreTo(job, second, {})).result.file_count).toBe(2);
    });

    it.each(['tar.zst', 'tar.gz', 'zip'] as const)('a version is exported as %s', async (format) => {
      const files = { 'a.txt': 'one', 'sub/b [1].bin': Buffer.alloc(700_000, 'x'), 'sub/empty': '' };
      const job = jobOf(await folderOf(files), toServer(), more);
      const made = await platform.backup(job);
      const { result, exportId, told } = await restoreTo(job, made, { target: { type: 'export', format } });
      expect(result).toMatchObject({ file_count: 3, bytes: 700_003 });
      expect(told.events.at(-1)).toMatchObject({ code: 'RESTORE_DONE', params: { files: 3, bytes: 700_003 } });
      const name = result.export?.file_name ?? '';
      const file = platform.deps.shelf.file(exportId, name);
      expect((await stat(file)).size).toBe(result.export?.size_bytes);
      const out = join(platform.root, newId());
      await mkdir(out);
      if (format === 'zip') await run('unzip', ['-q', file, '-d', out]);
      else await run('tar', ['-x', format === 'tar.gz' ? '-z' : '--zstd', '-f', file, '-C', out]);
      for (const [path, content] of Object.entries(files)) {
        expect((await readFile(join(out, path))).equals(Buffer.from(content)), path).toBe(true);
      }
      const some = await restoreTo(job, made, { target: { type: 'export', format }, paths: ['sub'] });
      expect(some.result.file_count).toBe(2);
    });
  },
);

describe('a restore to where something is', () => {
  it('policy rename puts it beside, and nothing that was there changes', async () => {
    const path = await folderOf({ 'a.txt': 'old', 'b.txt': 'b' });
    const job = jobOf(path, { connection: { type: 'local_fs', config: {} } });
    const made = await platform.backup(job);
    const target = await folderOf({ 'a.txt': 'another' });
    const source = { type: 'local', config: { path: target } } as SourceConnection;
    const { result } = await restoreTo(job, made, {
      target: { type: 'source', source_id: 'source', source, overwrite: 'rename', path: null },
    });
    expect(result.actions).toEqual({ create: 1, rename: 1 });
    const names = (await readdir(target)).sort();
    expect(names).toHaveLength(3);
    expect(await readFile(join(target, 'a.txt'), 'utf8')).toBe('another');
    const beside = names.find((name) => name.startsWith('a (restored')) ?? '';
    expect(await readFile(join(target, beside), 'utf8')).toBe('old');
  });
});

describe('a test of a server that is to hold versions', () => {
  const probe = async (to: WithSecret<DestinationConnection>) => {
    const { connection } = to;
    const question = { type: 'destination', destination_id: 'd', destination: connection } as const;
    const spec: SpecInput<'probe'> = { kind: 'probe', probe: question };
    const { context } = await platform.contextOf<'probe'>(spec, { destination: to.secret });
    return probeSyncDestination(context, connection, platform.deps);
  };

  it('tells its room, and leaves no file', async () => {
    const path = await mkdtemp(join(sshd.dataDir, 'probe-'));
    await chown(path, sshd.user.uid, sshd.user.gid);
    const { probe: found } = await probe(toServer({ path }));
    expect(found).toMatchObject({ type: 'destination', free_bytes: expect.any(Number) });
    const left = await readdir(path, { recursive: true, withFileTypes: true });
    expect(left.filter((entry) => entry.isFile())).toEqual([]);
  });

  it('tells what is wrong with it', async () => {
    await expect(probe(toServer({ path: '/root' }))).rejects.toMatchObject({ code: 'STORAGE_PERMISSION' });
    const wrong = toServer({}, { private_key: undefined, password: 'wrong' });
    await expect(probe(wrong)).rejects.toMatchObject({ code: 'STORAGE_AUTH_FAILED' });
  });
});

describe('a server that holds versions', () => {
  it.each([
    ['wrong password', () => toServer({}, { private_key: undefined, password: 'wrong' }), 'STORAGE_AUTH_FAILED'],
    ['another key', () => toServer({ host_key: `SHA256:${'A'.repeat(43)}` }), 'SSH_HOST_KEY_CHANGED'],
    ['forbidden directory', () => toServer({ path: '/root' }), 'STORAGE_PERMISSION'],
    ['no such host', () => toServer({ host: 'no-such-host.invalid' }), 'STORAGE_UNREACHABLE'],
  ] as const)('%s', async (_, make, code) => {
    const job = jobOf(await folderOf({ 'a.txt': 'a' }), make());
    expect((await platform.failedBackup(job)).error).toMatchObject({ code });
  });

  it('too little room: the run ends before anything is written; room that ends midway is told as that too', async () => {
    const small = await mkdtemp(join(sshd.dataDir, 'small-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=3m,mode=777', 'tmpfs', small]);
    try {
      const path = await folderOf({ 'a.txt': 'a' });
      const job = jobOf(path, toServer({ path: small }));
      await platform.backup(job);
      await writeFile(join(path, 'big.bin'), Buffer.alloc(4 * 1024 * 1024));
      const { error } = await platform.failedBackup(job);
      expect(error).toMatchObject({ code: 'STORAGE_FULL', retryable: true });
      await writeFile(join(path, 'big.bin'), Buffer.alloc(2 * 1024 * 1024));
      await writeFile(join(small, 'of somebody else'), Buffer.alloc(1024));
      expect((await platform.backup(job)).result.snapshot.file_count).toBe(2);
      // The old version must be kept too, for which there is no room: what is needed looks less than what is.
      await writeFile(join(path, 'big.bin'), Buffer.alloc(2 * 1024 * 1024 + 1));
      expect((await platform.failedBackup(job)).error).toMatchObject({ code: 'STORAGE_FULL' });
    } finally {
      await run('umount', [small]);
    }
  });

  it('a connection that breaks midway fails the run, and the next one goes on', async () => {
    const proxy = await startTcpProxy(sshd.port);
    try {
      const path = await folderOf({ 'big.bin': Buffer.alloc(24 * 1024 * 1024, 'x'), 'a.txt': 'a' });
      const job = jobOf(path, toServer({ port: proxy.port }), { options: { bandwidth_limit_bps: 4 * 1024 * 1024 } });
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
    const connection = destinationConnection.parse({
      type: 's3',
      config: { endpoint: `http://127.0.0.1:${proxy.port}`, region: s3.region, bucket },
    });
    const secret = { access_key_id: s3.accessKey, secret_access_key: s3.secretKey };
    try {
      const path = await folderOf({ 'a.txt': 'a' });
      const job = jobOf(path, { connection, secret }, { crypt });
      const first = await platform.backup(job);
      await writeFile(join(path, 'big.bin'), Buffer.alloc(24 * 1024 * 1024, 'y'));
      const slow = { ...job, options: { bandwidth_limit_bps: 4 * 1024 * 1024 } };
      const running = platform.failedBackup(slow);
      const begun = proxy.bytesToClients();
      await until('the run', () => proxy.bytesToClients() > begun);
      const cutting = setInterval(() => proxy.cut(), 300);
      const { error } = await running.finally(() => clearInterval(cutting));
      expect(error).toMatchObject({ retryable: true });
      const second = await platform.backup(job);
      expect(second.result.snapshot.file_count).toBe(2);
      expect((await restoreTo(job, first, {})).result.file_count).toBe(1);
      expect((await restoreTo(job, second, {})).result.bytes).toBe(24 * 1024 * 1024 + 1);
    } finally {
      await proxy.close();
    }
  });
});

describe('uploads that a killed attempt has left', () => {
  it('are aborted by the next one, and none of another place', async () => {
    const s3 = await sharedS3();
    const bucket = await s3.createBucket();
    const config = { endpoint: s3.endpoint, region: s3.region, bucket, prefix: 'kept' };
    const secret = { access_key_id: s3.accessKey, secret_access_key: s3.secretKey };
    const destination = { connection: destinationConnection.parse({ type: 's3', config }), secret };
    const job = jobOf(await folderOf({ 'a.txt': 'a' }), destination);
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
    const config = { host: '127.0.0.1', port: proxy.port, user: sshd.user.name, path: folder, jump: null };
    const source = {
      connection: { type: 'sftp', config, host_key: sshd.fingerprint() } as SourceConnection,
      secret: { private_key: sshd.privateKey },
    };
    const destination: WithSecret<DestinationConnection> = { connection: { type: 'local_fs', config: {} } };
    const options = { bandwidth_limit_bps: 4 * 1024 * 1024 };
    try {
      const job = { source, destination, jobId: newId(), options };
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
