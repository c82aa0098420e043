import { XVaultError } from '@xvault/shared/errors.ts';
import { openStorage, type StorageDeps } from '../storage/open-storage.ts';
import type { S3Objects } from '../storage/s3-objects.ts';
import type { ExportPlace } from './export-shelf.ts';

/** How long the address of an object opens it; a download that has begun by then goes on. */
const presignedSeconds = 3600;
const requestTimeoutMs = 60_000;

/** Gives addresses by which exports are fetched straight from their buckets. */
export function exportPresigner(deps: StorageDeps) {
  return async (place: ExportPlace, file: { name: string; contentType: string }): Promise<string> => {
    const objects = await openBucket(place, deps);
    const { name: fileName, contentType } = file;
    return objects.presign(place.object_key, { expiresInSeconds: presignedSeconds, fileName, contentType });
  };
}

/** Removes exports from their buckets, unfinished uploads too. */
export function exportRemover(deps: StorageDeps) {
  return async (place: ExportPlace): Promise<void> => {
    const objects = await openBucket(place, deps);
    await objects.abortUploads(place.object_key);
    await objects.delete([place.object_key]);
  };
}

/** Keys are those of the whole bucket. */
async function openBucket(place: ExportPlace, deps: StorageDeps): Promise<S3Objects> {
  const { destination, destination_secret_sealed: sealed } = place;
  const signal = AbortSignal.timeout(requestTimeoutMs);
  const { objects } = await openStorage({ destination, sealed, signal, prefix: '' }, deps);
  if (objects === null) throw new XVaultError('STORAGE_FAILED', { detail: `no bucket in ${destination.type}` });
  return objects;
}
