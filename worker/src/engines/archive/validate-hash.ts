import { XVaultError } from '@xvault/shared/errors.ts';
import { type ChecksumOf, StoredChecksum, wholeFile } from '../../artifact/stored-checksum.ts';
import type { FileReader, SnapshotFileName } from '../../storage/storage.ts';
import { checksumOf, isOfHalves } from './description.ts';
import type { ValidateOptions } from './validate.ts';

const readBytes = 1024 * 1024;

/** Size and checksum of a file as it is stored; null where nobody can know what it is of. Throws ARTIFACT_MISSING. */
export async function hashStored(
  options: ValidateOptions,
  name: SnapshotFileName,
  bytesBefore: number,
): Promise<{ sizeBytes: number; sha256: string | null }> {
  const { storage, place, signal, onProgress } = options;
  const file = await storage.open(place, name);
  try {
    const kind = await kindOf(options, name, file);
    const hash = new StoredChecksum(kind ?? wholeFile);
    for (let offset = 0; offset < file.sizeBytes; offset += readBytes) {
      signal.throwIfAborted();
      hash.update(await file.read(offset, Math.min(readBytes, file.sizeBytes - offset)));
      onProgress?.({ filesChecked: 0, bytesDone: bytesBefore + offset, bytesTotal: null, currentItem: null });
    }
    return { sizeBytes: file.sizeBytes, sha256: kind && hash.digest() };
  } finally {
    await file.close();
  }
}

/** Null where the manifest is damaged, which is told of where it is read for its own sake. */
async function kindOf(
  { storage, place, ref }: ValidateOptions,
  name: SnapshotFileName,
  file: FileReader,
): Promise<ChecksumOf | null> {
  const hasHalves = await unlessDamaged(() => isOfHalves(storage, place, ref, name), null);
  // Without a header to be read, it matches nothing.
  return hasHalves === null ? null : unlessDamaged(() => checksumOf(hasHalves, file), wholeFile);
}

async function unlessDamaged<T, E>(act: () => Promise<T>, otherwise: E): Promise<T | E> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof XVaultError && error.code.startsWith('ARTIFACT_')) return otherwise;
    throw error;
  }
}
