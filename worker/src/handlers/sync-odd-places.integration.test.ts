import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WithSecret } from './sync-context.test-kit.ts';
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
import { type SyncServers, startSyncServers } from './sync-servers.test-kit.ts';

let servers: SyncServers;
beforeAll(async () => {
  servers = await startSyncServers();
});
afterAll(() => servers?.stop());

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
  ['local', names, async (name) => local(join(await folderOf(servers.platform, { [`${name}/file`]: name }), name))],
  [
    'sftp',
    names,
    async (name) =>
      overSftp(servers.sshd, {
        path: join(servers.sshd.dataDir, await putBelow(servers.sshd.dataDir, name, servers.sshd.user)),
      }),
  ],
  [
    'ftp',
    names,
    async (name) => overFtp(servers.ftp, { path: `/${await putBelow(servers.ftp.dataDir, name, servers.ftp)}` }),
  ],
  [
    'webdav',
    names,
    async (name) => overWebdav(servers.webdav, { path: await putBelow(servers.webdav.dataDir, name, root) }),
  ],
  [
    'smb',
    namesOnShares,
    async (name) => overSmb(servers.samba, { path: await putBelow(servers.samba.dataDir, name, servers.samba) }),
  ],
  [
    's3',
    names,
    async (name) => {
      const bucket = await servers.s3.createBucket();
      const path = `/${bucket}/${encodeURIComponent(name).replaceAll("'", '%27')}/file`;
      await signedRequest({ ...servers.s3, method: 'PUT', path, body: name });
      return fromBucket(servers.s3, bucket, {}, { prefix: `${name}/` });
    },
  ],
];

describe.each(sources)('%s', (_, all, make) => {
  it('a path is a path, whatever it looks like', async () => {
    for (const name of all) {
      const job = jobOf(await make(name));
      const { result, told } = await servers.platform.backup(job);
      expect([name, result.snapshot.file_count, told.warnings]).toEqual([name, 1, 0]);
      const place = join(servers.platform.config.XVAULT_STORAGE_DIR, 'tenants/tenant/sources/source/sync', job.jobId);
      expect(await readFile(join(place, 'current', 'file'), 'utf8')).toBe(name);
    }
  });
});

describe('at a destination', () => {
  it.each([
    ['a bucket', async (name: string) => toBucket(servers.s3, await servers.s3.createBucket(), {}, { prefix: name })],
    [
      'a server',
      async (name: string) =>
        toServer(servers.sshd, {
          path: join(servers.sshd.dataDir, await putBelow(servers.sshd.dataDir, name, servers.sshd.user)),
        }),
    ],
  ] as const)('a path is a path, whatever it looks like: %s', async (_, make) => {
    for (const name of names) {
      const job = jobOf(local(await folderOf(servers.platform, { [name]: name })), await make(name));
      const made = await servers.platform.backup(job);
      const to = join(servers.platform.root, newId());
      await mkdir(to);
      await restoreTo(servers.platform, job, made, { target: { type: 'directory', path: to }, export_id: null });
      expect(await readFile(join(to, name), 'utf8')).toBe(name);
    }
  });

  it('so are names at the source', async () => {
    const path = await folderOf(servers.platform, Object.fromEntries(names.map((name) => [`${name}/${name}`, name])));
    const { result } = await servers.platform.backup(jobOf(local(path), disk));
    expect(result.snapshot.file_count).toBe(names.length);
  });
});
