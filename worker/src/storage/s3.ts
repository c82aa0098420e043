import { XVaultError } from '@xvault/shared/errors.ts';
import { s3Failure } from './s3-errors.ts';
import { listS3Items } from './s3-list.ts';
import type { S3Objects, StoredObject } from './s3-objects.ts';
import { markerKeyOf, snapshotKeyOf } from './s3-paths.ts';
import { S3PendingSnapshot } from './s3-pending.ts';
import { S3FileReader } from './s3-reader.ts';
import { type FileReader, type SnapshotPlace, type SnapshotStorage, snapshotFiles } from './storage.ts';

export interface S3SnapshotStorage extends SnapshotStorage {
  /** A published file as the server has it; null when it is not there. */
  stat(place: SnapshotPlace, name: (typeof snapshotFiles)[keyof typeof snapshotFiles]): Promise<StoredObject | null>;
}

/**
 * Snapshots below the prefix of a bucket. A snapshot is there when its meta.json is. An attempt has an empty marker object
 * `<id>.part-<epoch>` from before its first upload until nothing of it is left, so that what it leaves behind is found; only
 * one attempt has a snapshot's id at a time.
 *
 * `listPrefix` narrows `list`, for sweeping where not all of the bucket is this run's matter.
 */
export function createS3Storage(objects: S3Objects, listPrefix = 'tenants/'): S3SnapshotStorage {
  return {
    async create(place, epoch) {
      const base = snapshotKeyOf(place);
      const markerKey = markerKeyOf(place, epoch);
      if ((await objects.head(`${base}/${snapshotFiles.meta}`)) !== null) throw taken(`${base} is published already`);
      await putMarker(objects, markerKey);
      // Each of two that come at once sees the other's marker, and neither goes on.
      const others = (await keysBelow(objects, `${base}.part-`)).filter((key) => key !== markerKey);
      if (others.length > 0) {
        await objects.detached().delete([markerKey]);
        throw taken(`another attempt writes ${base}`);
      }
      return new S3PendingSnapshot(objects, place, markerKey);
    },

    async open(place, name): Promise<FileReader> {
      const base = snapshotKeyOf(place);
      const [found, meta] = await Promise.all([
        objects.head(`${base}/${name}`),
        objects.head(`${base}/${snapshotFiles.meta}`),
      ]);
      if (found !== null && meta !== null) return new S3FileReader(objects, found);
      throw new XVaultError('ARTIFACT_MISSING', { detail: `${base}/${name} is not there` });
    },

    async delete(place) {
      const base = snapshotKeyOf(place);
      // First what makes it a snapshot, so that one is never seen with some of its files gone.
      await objects.delete([`${base}/${snapshotFiles.meta}`]);
      await objects.delete(await keysBelow(objects, `${base}/`));
      await objects.abortUploads(`${base}/`);
    },

    async deletePart(place, epoch) {
      const base = snapshotKeyOf(place);
      if ((await objects.head(`${base}/${snapshotFiles.meta}`)) === null) {
        await objects.abortUploads(`${base}/`);
        await objects.delete(await keysBelow(objects, `${base}/`));
      }
      if (epoch > 0) await objects.delete([markerKeyOf(place, epoch)]);
    },

    list: () => listS3Items(objects, listPrefix),

    // Buckets do not say how much they can hold; a full one fails the upload.
    space: async () => ({ freeBytes: Number.MAX_SAFE_INTEGER, totalBytes: Number.MAX_SAFE_INTEGER }),

    stat: (place, name) => objects.head(`${snapshotKeyOf(place)}/${name}`),
  };
}

async function putMarker(objects: S3Objects, markerKey: string): Promise<void> {
  try {
    await objects.put(markerKey, [], { ifNoneMatch: '*' });
  } catch (error) {
    const failure = s3Failure(error instanceof XVaultError ? error.cause : error);
    if (failure === 'condition') throw taken(`${markerKey} has a writer`);
    if (failure !== 'unsupported') throw error;
    if ((await objects.head(markerKey)) !== null) throw taken(`${markerKey} has a writer`);
    await objects.put(markerKey, []);
  }
}

async function keysBelow(objects: S3Objects, keyPrefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of objects.list(keyPrefix)) keys.push(key);
  return keys;
}

function taken(detail: string): XVaultError {
  return new XVaultError('STORAGE_FAILED', { detail });
}
