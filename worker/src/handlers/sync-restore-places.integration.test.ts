import { randomBytes } from 'node:crypto';
import { chown, cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { newId } from '@xvault/shared/ids.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectS3 } from '../storage/s3-client.ts';
import { accessTo } from '../testing/s3.ts';
import { makeSyncPlatform, type SyncJob, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import {
  crypt,
  fromBucket,
  jobOf,
  local,
  overFtp,
  overSftp,
  overSmb,
  overWebdav,
  restoreTo,
  toBucket,
} from './sync-places.test-kit.ts';
import { filesBelow, restoreInto } from './sync-restore.test-kit.ts';

type Files = Readonly<Record<string, string>>;
type S3 = Awaited<ReturnType<typeof sharedS3>>;

let platform: SyncPlatform;
let servers: { s3: S3; sshd: TestSshd; ftp: TestVsftpd; samba: TestSamba; webdav: TestWebdav };
let source: string;
let job: SyncJob;
const versions: { made: Awaited<ReturnType<SyncPlatform['backup']>>; files: Files }[] = [];

/** States of the source: what is added, changed, renamed and removed, and what comes back. */
const states: readonly (() => Promise<unknown>)[] = [
  async () => {
    for (let at = 0; at < 20; at += 1) await put(`docs/file ${at}.txt`, `first ${at}`);
    await put('large.bin', randomBytes(3_000_000));
    await put('odd/it’s #1; 100% [x] {y}.txt', 'odd');
    await put('empty', '');
  },
  async () => {
    await put('docs/file 1.txt', 'second');
    await rm(at('docs/file 2.txt'));
    await put('large.bin', randomBytes(2_500_000));
  },
  async () => {
    await rename(at('docs/file 3.txt'), at('docs/renamed.txt'));
    await put('docs/file 2.txt', 'back again');
    await put('docs/deep/er/one.txt', 'new');
  },
  () => rm(at('odd'), { recursive: true }),
  async () => {
    await rm(at('docs'), { recursive: true });
    await put('large.bin', 'small now');
    await put('last', 'of all');
  },
];

const at = (path: string) => join(source, path);

async function put(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(at(path)), { recursive: true });
  await writeFile(at(path), content);
}

beforeAll(async () => {
  platform = await makeSyncPlatform();
  const [s3, sshd, ftp, samba, webdav] = await Promise.all([
    sharedS3(),
    startSshd(),
    startVsftpd(),
    startSamba(),
    startWebdav(),
  ]);
  servers = { s3, sshd, ftp, samba, webdav };
  source = await mkdtemp(join(platform.root, 'source-'));
  job = jobOf(local(source), toBucket(s3, await s3.createBucket()), { crypt, options: { max_delete_percent: 100 } });
  for (const change of states) {
    await change();
    versions.push({ made: await platform.backup(job), files: await filesBelow(source) });
  }
}, 120_000);
afterAll(async () => {
  const { sshd, ftp, samba, webdav } = servers;
  await Promise.all([sshd.stop(), ftp.stop(), samba.stop(), webdav.stop(), platform.remove()]);
});

interface Place {
  readonly to: WithSecret<SourceConnection>;
  readonly path?: string;
  readonly files: () => Promise<Files>;
}

const ownedBy = async (dataDir: string, { uid, gid }: { uid: number; gid: number }): Promise<string> => {
  const folder = await mkdtemp(join(dataDir, 'to-'));
  await chown(folder, uid, gid);
  return folder;
};

/** New empty places. */
const places: Readonly<Record<string, () => Promise<Place>>> = {
  async sftp() {
    const folder = await ownedBy(servers.sshd.dataDir, servers.sshd.user);
    return { to: overSftp(servers.sshd), path: folder, files: () => filesBelow(folder) };
  },
  async ftp() {
    const name = newId();
    return { to: overFtp(servers.ftp), path: `/${name}`, files: () => filesBelow(join(servers.ftp.dataDir, name)) };
  },
  async s3() {
    const { s3 } = servers;
    const bucket = await s3.createBucket();
    return { to: fromBucket(s3, bucket), path: '/below/this', files: () => objectsOf(bucket, 'below/this/') };
  },
  async webdav() {
    const name = newId();
    const folder = join(servers.webdav.dataDir, name);
    return { to: overWebdav(servers.webdav), path: `/${name}`, files: () => filesBelow(folder) };
  },
  async smb() {
    const folder = await ownedBy(servers.samba.dataDir, servers.samba);
    const path = `${folder.slice(servers.samba.dataDir.length)}`;
    return { to: overSmb(servers.samba), path, files: () => filesBelow(folder) };
  },
};

async function objectsOf(bucket: string, prefix: string): Promise<Files> {
  const { client } = await connectS3(accessTo(servers.s3, bucket));
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  const files: Record<string, string> = {};
  for (const { Key = '' } of Contents) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key }));
    expect(Key.startsWith(prefix)).toBe(true);
    files[Key.slice(prefix.length)] = Buffer.from((await Body?.transformToByteArray()) ?? []).toString('latin1');
  }
  return files;
}

const below = (files: Files, directory: string): Files =>
  Object.fromEntries(Object.entries(files).filter(([path]) => path.startsWith(`${directory}/`)));

describe.each(Object.entries(places))('a restore to %s', (_, placeOf) => {
  it.each([2, 3])('brings all of version %i of five', async (version) => {
    const { made, files } = versionOf(version);
    const { to, files: found, path } = await placeOf();
    const { result, told } = await restoreInto(platform, job, made, to, { ...(path !== undefined && { path }) });
    expect(told.warnings).toBe(0);
    expect(result.file_count).toBe(Object.keys(files).length);
    expect(await found()).toEqual(files);
  });

  it('brings chosen paths alone', async () => {
    const { made, files } = versionOf(3);
    const { to, files: found, path } = await placeOf();
    const how = { paths: ['docs'], ...(path !== undefined && { path }) };
    await restoreInto(platform, job, made, to, how);
    expect(await found()).toEqual(below(files, 'docs'));
  });
});

describe('a restore', () => {
  it('to the source itself brings back what was removed or changed, and removes nothing', async () => {
    const copy = await mkdtemp(join(platform.root, 'now-'));
    await cp(source, copy, { recursive: true, preserveTimestamps: true });
    const { made, files } = versionOf(1);
    await restoreInto(platform, job, made, local(copy), { overwrite: 'always' });
    expect(await filesBelow(copy)).toEqual({ ...versionOf(5).files, ...files });
  });

  it.each(['tar.zst', 'tar.gz', 'zip'] as const)('to an export (%s), whole and by paths', async (format) => {
    const { made, files } = versionOf(2);
    for (const [paths, expected] of [[null, files] as const, [['odd'], below(files, 'odd')] as const]) {
      const { result, exportId } = await restoreTo(platform, job, made, {
        target: { type: 'export', format },
        paths: paths === null ? null : [...paths],
      });
      const archive = join(platform.config.XVAULT_EXPORTS_DIR, exportId, result.export?.file_name ?? '');
      const out = await mkdtemp(join(platform.root, 'out-'));
      if (format === 'zip') await run('python3', ['-m', 'zipfile', '-e', archive, out]);
      else await run('tar', ['-x', '-f', archive, '-C', out]);
      expect(await filesBelow(out)).toEqual(expected);
    }
  });
});

function versionOf(number: number): (typeof versions)[number] {
  const version = versions[number - 1];
  if (version === undefined) throw new Error('there is no such version');
  return version;
}
