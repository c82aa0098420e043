import { randomUUID } from 'node:crypto';
import { chown, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import { newId } from '@xvault/shared/ids.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCloudPlatform } from './sync-cloud.test-kit.ts';
import { makeSyncPlatform, type SyncJob, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import {
  crypt,
  disk,
  folderOf,
  jobOf,
  local,
  overFtp,
  overWebdav,
  restoreTo,
  toBucket,
} from './sync-places.test-kit.ts';

let platform: SyncPlatform;
let s3: Awaited<ReturnType<typeof sharedS3>>;
let webdav: TestWebdav;
let ftp: TestVsftpd;
beforeAll(async () => {
  [platform, s3, webdav, ftp] = await Promise.all([makeSyncPlatform(), sharedS3(), startWebdav(), startVsftpd()]);
});
afterAll(async () => {
  await Promise.allSettled([webdav?.stop(), ftp?.stop(), platform?.remove()]);
});

const placeOf = ({ jobId }: SyncJob) =>
  join(platform.config.XVAULT_STORAGE_DIR, 'tenants/tenant/sources/source/sync', jobId);

/** A version as it comes back, by name. */
async function contentOf(job: SyncJob, made: Awaited<ReturnType<SyncPlatform['backup']>>) {
  const path = join(platform.root, `back-${randomUUID()}`);
  await mkdir(path);
  await restoreTo(platform, job, made, { target: { type: 'directory', path }, export_id: null });
  const names = await readdir(path);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(path, name), 'utf8')])),
  );
}

interface Place {
  readonly source: WithSecret<SourceConnection>;
  readonly put: (name: string, content: string, time: number) => Promise<void>;
}

async function puttingTo(dataDir: string, own: (path: string) => Promise<void>) {
  const folder = newId();
  await mkdir(join(dataDir, folder));
  await own(join(dataDir, folder));
  const put = async (name: string, content: string, time: number) => {
    const path = join(dataDir, folder, name);
    await writeFile(path, content);
    await own(path);
    await utimes(path, time, time);
  };
  return { folder, put };
}

const servers: readonly [string, () => Promise<Place>][] = [
  ...(['other', 'nextcloud'] as const).map((vendor): [string, () => Promise<Place>] => [
    `WebDAV, ${vendor}`,
    async () => {
      const { folder, put } = await puttingTo(webdav.dataDir, async () => undefined);
      return { source: overWebdav(webdav, { vendor, path: folder }), put };
    },
  ]),
  [
    'FTP, a server that sets no times',
    async () => {
      const { folder, put } = await puttingTo(ftp.dataDir, (path) => chown(path, ftp.uid, ftp.gid));
      return { source: overFtp(ftp, { path: `/${folder}` }), put };
    },
  ],
];

describe.each(servers)('a change that leaves the size as it was: %s', (_, make) => {
  it.each([{ encrypted: false }, { encrypted: true }])('is brought over, encrypted: $encrypted', async (how) => {
    const { source, put } = await make();
    for (const name of ['a', 'b']) await put(name, 'one', 1.6e9);
    const job = jobOf(source, disk, how.encrypted ? { crypt } : {});
    const first = await platform.backup(job);
    await put('a', 'two', 1.7e9);
    const second = await platform.backup(job);
    expect(second.told.events.at(-1)).toMatchObject({
      code: 'COMPLETED_SUCCESS',
      params: { transfers: 1, deletes: 0 },
    });
    expect(await contentOf(job, second)).toEqual({ a: 'two', b: 'one' });
    expect(await contentOf(job, first)).toEqual({ a: 'one', b: 'one' });
    expect((await platform.backup(job)).told.events.at(-1)).toMatchObject({ code: 'NO_CHANGES' });
  });

  it('is brought over where an attempt before was cut short', async () => {
    const { source, put } = await make();
    for (const name of ['a', 'b']) await put(name, 'one', 1.6e9);
    const job = jobOf(source);
    await platform.backup(job);
    await mkdir(join(placeOf(job), 'versions', '00000002-900-1'), { recursive: true });
    await writeFile(join(placeOf(job), 'versions', '00000002-900-1', 'gone'), 'kept by that attempt');
    await put('a', 'two', 1.7e9);
    const { told } = await platform.backup(job);
    expect(told.events.at(-1)).toMatchObject({ code: 'COMPLETED_SUCCESS', params: { transfers: 1 } });
    expect(await readFile(join(placeOf(job), 'current', 'a'), 'utf8')).toBe('two');
  });
});

describe('what is removed from a bucket and kept there', () => {
  it.each([
    { objects: 20, gone: 10, changed: 4, options: {} },
    { objects: 9, gone: 7, changed: 0, options: { max_delete_percent: 100 } },
    { objects: 12, gone: 8, changed: 0, options: { max_delete_count: 8, max_delete_percent: 100 } },
  ])('counts once: $gone of $objects, $changed changed', async ({ objects, gone, changed, options }) => {
    const names = Array.from({ length: objects }, (_, at) => `file ${at}`);
    const path = await folderOf(platform, Object.fromEntries(names.map((name) => [name, name])));
    const job = jobOf(local(path), toBucket(s3, await s3.createBucket()), { options });
    await platform.backup(job);
    for (const name of names.slice(0, gone)) await rm(join(path, name));
    for (const name of names.slice(gone, gone + changed)) await writeFile(join(path, name), `${name}, changed`);
    const { told } = await platform.backup(job);
    expect(told.events.at(-1)?.params).toMatchObject({ deletes: gone, transfers: changed, objects: objects - gone });
  });
});

describe('names that are not UTF-8', () => {
  const places: readonly [string, Partial<SyncJob>, () => Promise<WithSecret<DestinationConnection>>][] = [
    ['a disk', {}, async () => disk],
    ['a disk, encrypted', { crypt }, async () => disk],
    ['a bucket', {}, async () => toBucket(s3, await s3.createBucket())],
    ['a bucket, encrypted', { crypt }, async () => toBucket(s3, await s3.createBucket())],
  ];
  it.each(places)('are named in a warning, and all else is in the version: %s', async (_, more, make) => {
    const path = await folderOf(platform, { plain: 'plain' });
    const raw = (name: string) => Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name, 'latin1')]);
    for (const name of ['caf\xe9', 'caf\xe8']) await writeFile(raw(name), name);
    const job = jobOf(local(path), await make(), more);
    const first = await platform.backup(job);
    expect(first.told.events.at(-1)).toMatchObject({ code: 'COMPLETED_WARNING', params: { objects: 1 } });
    expect(first.told.events).toContainEqual(
      expect.objectContaining({ code: 'ITEM_NAME_UNSUPPORTED', params: { item: 'caf\ufffd' } }),
    );
    expect(first.told.warnings).toBeGreaterThan(0);
    expect(await contentOf(job, first)).toEqual({ plain: 'plain' });
    for (const name of ['caf\xe9', 'caf\xe8']) await rm(raw(name));
    const second = await platform.backup(job);
    expect(second.told.warnings).toBe(0);
    expect(await contentOf(job, second)).toEqual({ plain: 'plain' });
  });
});

it('of two items of one name in a drive the version has the one that was brought over, and a warning tells the other', async () => {
  const cloud = await makeCloudPlatform();
  try {
    const folder = cloud.providers.drive.put('twins', null);
    cloud.providers.drive.put('twins/same', 'one');
    const second = cloud.providers.drive.put('elsewhere/same', 'three');
    cloud.providers.drive.move(second, folder);
    const connection = await cloud.connect('google_drive');
    const source = sourceConnection.parse({ type: 'google_drive', config: { connection_id: connection.id } });
    const { result, told } = await cloud.sync(connection, source, newId());
    expect(result.snapshot.file_count).toBe(1);
    expect(told.events).toContainEqual(
      expect.objectContaining({ code: 'ITEM_NAME_UNSUPPORTED', params: { item: 'twins/same' } }),
    );
  } finally {
    await cloud.stop();
  }
});
