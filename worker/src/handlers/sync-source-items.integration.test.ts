import { chmod, chown, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { WithSecret } from './sync-context.test-kit.ts';
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
import { type SyncServers, startSyncServers } from './sync-servers.test-kit.ts';
import { type Front, startRedirecting } from './sync-web.test-kit.ts';

let servers: SyncServers;
let front: Front;
/** A part of a URL that the front refuses. */
let denied: string | null = null;
beforeAll(async () => {
  servers = await startSyncServers();
  front = await startRedirecting(Number(new URL(servers.webdav.url).port), ({ method, url }) =>
    denied !== null && method === 'GET' && url?.includes(denied) ? { status: 403, location: '' } : null,
  );
});
afterAll(async () => {
  await front?.stop();
  await servers?.stop();
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
  [
    'sftp',
    () =>
      inFolder(servers.sshd.dataDir, servers.sshd.user, (folder) =>
        overSftp(servers.sshd, { path: join(servers.sshd.dataDir, folder) }),
      ),
  ],
  ['ftp', () => inFolder(servers.ftp.dataDir, servers.ftp, (folder) => overFtp(servers.ftp, { path: `/${folder}` }))],
  ['smb', () => inFolder(servers.samba.dataDir, servers.samba, (folder) => overSmb(servers.samba, { path: folder }))],
  [
    'webdav',
    async () => {
      const url = `http://127.0.0.1:${front.port}/`;
      const place = await inFolder(servers.webdav.dataDir, root, (folder) =>
        overWebdav(servers.webdav, { url, path: folder }),
      );
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
      const bucket = await servers.s3.createBucket();
      const reader = await servers.s3.createUser();
      const at = (name: string) => ({ ...servers.s3, path: `/${bucket}/${name}` });
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
        source: fromBucket(servers.s3, bucket, keysOf(reader)),
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
  expect((await servers.platform.backup(job)).result.snapshot.file_count).toBe(3);
  await put('closed.pem', 'closed, and changed');
  await deny('closed.pem');
  await remove('gone');
  await put('new', 'new');
  const { result, told } = await servers.platform.backup(job);
  const warnings = told.events.filter(({ type }) => type === 'warning').map(({ code, params }) => [code, params.item]);
  expect(warnings).toEqual([['ITEM_UNREADABLE', 'closed.pem']]);
  expect(told.events.at(-1)).toMatchObject({ code: 'COMPLETED_WARNING' });
  expect(told.warnings).toBe(1);
  expectDiscreet(servers.platform, told, servers.secrets);
  // With the old one of what is closed, for what is new of it was not seen; without what is gone, which rclone then leaves there.
  expect(result.snapshot.file_count).toBe(3);
  const to = join(servers.platform.root, newId());
  await mkdir(to);
  await restoreTo(
    servers.platform,
    job,
    { result, told },
    { target: { type: 'directory', path: to }, export_id: null },
  );
  expect((await readdir(to)).sort()).toEqual(['a', 'closed.pem', 'new']);
  expect(await readFile(join(to, 'closed.pem'), 'utf8')).toBe('closed.pem');
});
