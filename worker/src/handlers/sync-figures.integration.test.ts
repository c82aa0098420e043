import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import { crypt, disk, folderOf, jobOf, local, toBucket } from './sync-places.test-kit.ts';

let platform: SyncPlatform;
let s3: Awaited<ReturnType<typeof sharedS3>>;
beforeAll(async () => {
  [platform, s3] = await Promise.all([makeSyncPlatform(), sharedS3()]);
});
afterAll(() => platform.remove());

const places: readonly [string, () => Promise<WithSecret<DestinationConnection>>][] = [
  ['a disk', async () => disk],
  ['a bucket', async () => toBucket(s3, await s3.createBucket())],
];

describe.each(places)('the figures of a run to %s', (_, make) => {
  it.each([{ encrypted: false }, { encrypted: true }])('are of the source, encrypted: $encrypted', async (how) => {
    const names = Array.from({ length: 8 }, (_each, at) => `file ${at}`);
    const path = await folderOf(platform, Object.fromEntries(names.map((name) => [name, name])));
    const job = jobOf(local(path), await make(), how.encrypted ? { crypt } : {});
    const figures = async (options: Partial<SyncOptions> = {}) => {
      const { result, told } = await platform.backup({ ...job, options });
      const params = told.events.at(-1)?.params;
      const { bytes = 0, transfers = 0 } = params ?? {};
      expect(told.progress.at(-1)).toMatchObject({ bytes_transferred: bytes, objects_transferred: transfers });
      expect(result.snapshot.stored_bytes).toBe(bytes);
      return params;
    };
    expect(await figures()).toEqual({ transfers: 8, bytes: 8 * 6, deletes: 0, objects: 8 });

    // Three replaced, two gone, one new: as the source has it, not what that takes at the destination.
    for (const name of names.slice(0, 3)) await writeFile(join(path, name), `${name}, changed`);
    for (const name of names.slice(3, 5)) await rm(join(path, name));
    await writeFile(join(path, 'new'), 'new');
    expect(await figures()).toEqual({ transfers: 4, bytes: 3 * 15 + 3, deletes: 2, objects: 7 });

    for (const name of names.slice(0, 3)) await writeFile(join(path, name), `${name}, changed again`);
    expect(await figures()).toEqual({ transfers: 3, bytes: 3 * 21, deletes: 0, objects: 7 });

    // Nothing is removed by a copy.
    await rm(join(path, 'new'));
    expect(await figures({ mode: 'copy' })).toEqual({});

    // A file that becomes a directory is gone as a file.
    await rm(join(path, 'file 0'));
    await mkdir(join(path, 'file 0'));
    await writeFile(join(path, 'file 0', 'inside'), 'inside');
    expect(await figures()).toEqual({ transfers: 1, bytes: 6, deletes: 2, objects: 6 });
  });
});

describe('a mirror', () => {
  it.each(places)('counts what has gone from the source, on %s', async (_, make) => {
    const path = await folderOf(platform, { a: 'a', b: 'b', c: 'c' });
    const options = { mode: 'mirror', mirror_confirmed: true } as const;
    const job = jobOf(local(path), await make(), { options });
    await platform.backup(job);
    await rm(join(path, 'a'));
    await writeFile(join(path, 'b'), 'changed');
    const { told } = await platform.backup(job);
    expect(told.events.at(-1)?.params).toMatchObject({ transfers: 1, deletes: 1, objects: 2 });
  });
});
