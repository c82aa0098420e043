import { chmod, chown, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import { expectDiscreet } from './sync-faults.test-kit.ts';
import {
  fromBucket,
  jobOf,
  keysOf,
  overFtp,
  overSftp,
  overSmb,
  overWebdav,
  restoreTo,
} from './sync-places.test-kit.ts';
import { type Front, startRedirecting } from './sync-web.test-kit.ts';

let platform: SyncPlatform;
let sshd: TestSshd;
let ftp: TestVsftpd;
let samba: TestSamba;
let webdav: TestWebdav;
let front: Front;
let s3: Awaited<ReturnType<typeof sharedS3>>;
/** A part of a URL that the front refuses. */
let denied: string | null = null;
beforeAll(async () => {
  [platform, sshd, ftp, samba, webdav, s3] = await Promise.all([
    makeSyncPlatform(),
    startSshd(),
    startVsftpd(),
    startSamba(),
    startWebdav(),
    sharedS3(),
  ]);
  front = await startRedirecting(Number(new URL(webdav.url).port), ({ method, url }) =>
    denied !== null && method === 'GET' && url?.includes(denied) ? { status: 403, location: '' } : null,
  );
});
afterAll(async () => {
  const ends = [platform?.remove(), sshd?.stop(), ftp?.stop(), samba?.stop(), webdav?.stop(), front?.stop()];
  await Promise.allSettled(ends);
});

interface Place {
  readonly source: WithSecret<SourceConnection>;
  readonly put: (name: string, content: string) => Promise<void>;
  readonly remove: (name: string) => Promise<void>;
  /** From now on it cannot be read. */
  readonly deny: (name: string) => Promise<void>;
}

async function inFolder(
  dataDir: string,
  own: { readonly uid: number; readonly gid: number },
  sourceAt: (folder: string) => WithSecret<SourceConnection>,
): Promise<Place> {
  const folder = newId();
  const at = (name: string) => join(dataDir, folder, name);
  await mkdir(at(''));
  await chown(at(''), own.uid, own.gid);
  return {
    source: sourceAt(folder),
    async put(name, content) {
      await writeFile(at(name), content);
      await chown(at(name), own.uid, own.gid);
    },
    remove: (name) => rm(at(name)),
    async deny(name) {
      await chown(at(name), 0, 0);
      await chmod(at(name), 0o600);
    },
  };
}

const root = { uid: 0, gid: 0 };
const places: readonly [string, () => Promise<Place>][] = [
  ['sftp', () => inFolder(sshd.dataDir, sshd.user, (folder) => overSftp(sshd, { path: join(sshd.dataDir, folder) }))],
  ['ftp', () => inFolder(ftp.dataDir, ftp, (folder) => overFtp(ftp, { path: `/${folder}` }))],
  ['smb', () => inFolder(samba.dataDir, samba, (folder) => overSmb(samba, { path: folder }))],
  [
    'webdav',
    async () => {
      const url = `http://127.0.0.1:${front.port}/`;
      const place = await inFolder(webdav.dataDir, root, (folder) => overWebdav(webdav, { url, path: folder }));
      return {
        ...place,
        async deny(name) {
          denied = name;
        },
      };
    },
  ],
  [
    's3',
    async () => {
      const bucket = await s3.createBucket();
      const reader = await s3.createUser();
      const at = (name: string) => ({ ...s3, path: `/${bucket}/${name}` });
      const put = (name: string, body: string) =>
        signedRequest({ ...at(name), method: 'PUT', body }).then(() => undefined);
      const all = `arn:aws:s3:::${bucket}`;
      const allow = async (denied: readonly object[]) => {
        const reading = { Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: [all, `${all}/*`] };
        const body = JSON.stringify({ Version: '2012-10-17', Statement: [reading, ...denied] });
        await signedRequest({ ...at(''), path: `/${bucket}`, method: 'PUT', query: 'policy=', body });
      };
      await allow([]);
      return {
        source: fromBucket(s3, bucket, keysOf(reader)),
        put,
        remove: (name) => signedRequest({ ...at(name), method: 'DELETE' }).then(() => undefined),
        deny: (name) => allow([{ Effect: 'Deny', Principal: '*', Action: 's3:GetObject', Resource: `${all}/${name}` }]),
      };
    },
  ],
];

it.each(places)('%s: an item that cannot be read is a warning, and its last version stays', async (_, make) => {
  const { source, put, remove, deny } = await make();
  for (const name of ['a', 'closed.pem', 'gone']) await put(name, name);
  const job = jobOf(source);
  expect((await platform.backup(job)).result.snapshot.file_count).toBe(3);
  await put('closed.pem', 'closed, and changed');
  await deny('closed.pem');
  await remove('gone');
  await put('new', 'new');
  const { result, told } = await platform.backup(job);
  const warnings = told.events.filter(({ type }) => type === 'warning').map(({ code, params }) => [code, params.item]);
  expect(warnings).toEqual([['ITEM_UNREADABLE', 'closed.pem']]);
  expect(told.events.at(-1)).toMatchObject({ code: 'COMPLETED_WARNING' });
  expect(told.warnings).toBe(1);
  expectDiscreet(platform, told, [sshd.user.password, ftp.password, samba.password, webdav.password, s3.secretKey]);
  // With the old one of what is closed, for what is new of it was not seen; without what is gone, which rclone then leaves there.
  expect(result.snapshot.file_count).toBe(3);
  const to = join(platform.root, newId());
  await mkdir(to);
  await restoreTo(platform, job, { result, told }, { target: { type: 'directory', path: to }, export_id: null });
  expect((await readdir(to)).sort()).toEqual(['a', 'closed.pem', 'new']);
  expect(await readFile(join(to, 'closed.pem'), 'utf8')).toBe('closed.pem');
});
