import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import {
  disk,
  folderOf,
  fromBucket,
  jobOf,
  local,
  overFtp,
  overSftp,
  overSmb,
  overWebdav,
  restoreTo,
  toBucket,
  toServer,
} from './sync-places.test-kit.ts';

let platform: SyncPlatform;
let sshd: TestSshd;
let ftp: TestVsftpd;
let samba: TestSamba;
let webdav: TestWebdav;
let s3: Awaited<ReturnType<typeof sharedS3>>;
beforeAll(async () => {
  [platform, sshd, ftp, samba, webdav, s3] = await Promise.all([
    makeSyncPlatform(),
    startSshd(),
    startVsftpd(),
    startSamba(),
    startWebdav(),
    sharedS3(),
  ]);
});
afterAll(async () => {
  await Promise.allSettled([platform?.remove(), sshd?.stop(), ftp?.stop(), samba?.stop(), webdav?.stop()]);
});

/** What would be another remote, options of one, a section or a pattern, were it more than a name. */
const names = [`:local:,x=1 [dst] {{.}} $HOME "q" it's`, '--config=dst:current'];
/** Without what no Windows file name has, which is all that its protocol carries. */
const namesOnShares = ["[dst] {{.}} $HOME it's", '--config=dst'];

async function putBelow(dataDir: string, name: string, own: { readonly uid: number; readonly gid: number }) {
  const folder = newId();
  for (const path of [folder, `${folder}/${name}`]) {
    await mkdir(join(dataDir, path));
    await chown(join(dataDir, path), own.uid, own.gid);
  }
  await writeFile(join(dataDir, folder, name, 'file'), name);
  await chown(join(dataDir, folder, name, 'file'), own.uid, own.gid);
  return `${folder}/${name}`;
}

const root = { uid: 0, gid: 0 };
type Make = (name: string) => Promise<WithSecret<SourceConnection>>;
const sources: readonly [string, readonly string[], Make][] = [
  ['local', names, async (name) => local(join(await folderOf(platform, { [`${name}/file`]: name }), name))],
  [
    'sftp',
    names,
    async (name) => overSftp(sshd, { path: join(sshd.dataDir, await putBelow(sshd.dataDir, name, sshd.user)) }),
  ],
  ['ftp', names, async (name) => overFtp(ftp, { path: `/${await putBelow(ftp.dataDir, name, ftp)}` })],
  ['webdav', names, async (name) => overWebdav(webdav, { path: await putBelow(webdav.dataDir, name, root) })],
  ['smb', namesOnShares, async (name) => overSmb(samba, { path: await putBelow(samba.dataDir, name, samba) })],
  [
    's3',
    names,
    async (name) => {
      const bucket = await s3.createBucket();
      const path = `/${bucket}/${encodeURIComponent(name).replaceAll("'", '%27')}/file`;
      await signedRequest({ ...s3, method: 'PUT', path, body: name });
      return fromBucket(s3, bucket, {}, { prefix: `${name}/` });
    },
  ],
];

describe.each(sources)('%s', (_, all, make) => {
  it('a path is a path, whatever it looks like', async () => {
    for (const name of all) {
      const job = jobOf(await make(name));
      const { result, told } = await platform.backup(job);
      expect([name, result.snapshot.file_count, told.warnings]).toEqual([name, 1, 0]);
      const place = join(platform.config.XVAULT_STORAGE_DIR, 'tenants/tenant/sources/source/sync', job.jobId);
      expect(await readFile(join(place, 'current', 'file'), 'utf8')).toBe(name);
    }
  });
});

describe('at a destination', () => {
  it.each([
    ['a bucket', async (name: string) => toBucket(s3, await s3.createBucket(), {}, { prefix: name })],
    [
      'a server',
      async (name: string) =>
        toServer(sshd, { path: join(sshd.dataDir, await putBelow(sshd.dataDir, name, sshd.user)) }),
    ],
  ] as const)('a path is a path, whatever it looks like: %s', async (_, make) => {
    for (const name of names) {
      const job = jobOf(local(await folderOf(platform, { [name]: name })), await make(name));
      const made = await platform.backup(job);
      const to = join(platform.root, newId());
      await mkdir(to);
      await restoreTo(platform, job, made, { target: { type: 'directory', path: to }, export_id: null });
      expect(await readFile(join(to, name), 'utf8')).toBe(name);
    }
  });

  it('so are names at the source', async () => {
    const path = await folderOf(platform, Object.fromEntries(names.map((name) => [`${name}/${name}`, name])));
    const { result } = await platform.backup(jobOf(local(path), disk));
    expect(result.snapshot.file_count).toBe(names.length);
  });
});
