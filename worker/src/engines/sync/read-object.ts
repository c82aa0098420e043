import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';
import { listObjects } from './listing.ts';
import { classify, type SyncEventCode } from './rclone/classify.ts';
import { RcError } from './rclone/rc-client.ts';
import { BrokenOffError, readOn } from './read-on.ts';
import type { VersionStore } from './resolve.ts';

const [timesAsked, pauseMs] = [3, 1000];
const found = z.object({ item: z.looseObject({}).nullable() });
/** Nothing of these is about what the object holds. */
const notItsContent: readonly SyncEventCode[] = ['ERROR_AUTH', 'ERROR_PERMISSION', 'ERROR_QUOTA', 'ERROR_RATE_LIMIT'];

/**
 * An object's bytes to its end; where reading breaks it goes on from there. What breaks at the same byte again and again while the
 * destination answers is broken itself: SYNC_VERSION_BROKEN. What else keeps it from being read is told as that: STORAGE_…, SYNC_FAILED.
 */
export async function* readObject(store: VersionStore, place: string, path: string): AsyncGenerator<Buffer> {
  const { rc, dstFs, signal } = store;
  try {
    yield* readOn(rc, { fs: dstFs, path: `${place}/${path}`, signal }, async (error) => {
      if (!(await isThere(store, place, path))) throw broken(path, 'it is not there', error);
    });
  } catch (error) {
    if (!(error instanceof BrokenOffError)) throw error;
    await throwRefusal(store, place, path);
    throw broken(path, error.message, error);
  }
}

/** Throws what keeps the destination from answering. */
async function isThere({ rc, dstFs, signal }: VersionStore, place: string, path: string): Promise<boolean> {
  const root = { fs: dstFs, recursive: false, filesOnly: false, withMtime: false, withHashes: false };
  const one = { fs: dstFs, remote: `${place}/${path}`, opt: { filesOnly: true } };
  for (let asked = 1; ; asked += 1) {
    try {
      const { item } = found.parse(await rc.call('operations/stat', one, signal));
      await listObjects(rc, root, signal);
      return item !== null;
    } catch (error) {
      if (!(error instanceof RcError)) throw error;
      const { event, source, destination } = classify(error.words, path);
      // It broke, as others did with it; one that is refused or does not answer was asked often enough by rclone.
      if (source === 'SOURCE_LOST' && asked < timesAsked) {
        await sleep(pauseMs, undefined, { signal });
        continue;
      }
      const code = event === 'ERROR_INTERNAL' ? 'STORAGE_UNREACHABLE' : destination;
      throw new XVaultError(code, { detail: `reading the version: ${error.words}`.slice(0, 2000), cause: error });
    }
  }
}

/** rclone does not say why it opens an object for nobody, but why it cannot be copied: tried with its first bytes. */
async function throwRefusal(store: VersionStore, place: string, path: string): Promise<void> {
  const { rc, dstFs, directory, signal } = store;
  const name = `refused-${randomBytes(6).toString('hex')}`;
  const _config = { MaxTransfer: '1', CutoffMode: 'HARD' };
  const copy = { srcFs: dstFs, srcRemote: `${place}/${path}`, dstFs: directory, dstRemote: name, _config };
  try {
    await rc.call('operations/copyfile', copy, signal);
  } catch (error) {
    if (!(error instanceof RcError)) throw error;
    const { event, destination } = classify(error.words, path);
    if (!notItsContent.includes(event)) return;
    throw new XVaultError(destination, { detail: `reading the version: ${error.words}`.slice(0, 2000), cause: error });
  } finally {
    await rm(join(directory, name), { force: true });
  }
}

function broken(path: string, why: string, cause: unknown): XVaultError {
  return new XVaultError('SYNC_VERSION_BROKEN', { detail: `${path} cannot be read: ${why}`, cause });
}
