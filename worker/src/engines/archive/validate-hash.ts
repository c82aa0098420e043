import { createHash } from 'node:crypto';
import type { SnapshotFileName } from '../../storage/storage.ts';
import type { ValidateOptions } from './validate.ts';

const readBytes = 1024 * 1024;

/** Size and SHA-256 of a file as it is stored. Throws ARTIFACT_MISSING. */
export async function hashStored(
  { storage, place, signal, onProgress }: ValidateOptions,
  name: SnapshotFileName,
  bytesBefore: number,
): Promise<{ sizeBytes: number; sha256: string }> {
  const file = await storage.open(place, name);
  try {
    const hash = createHash('sha256');
    for (let offset = 0; offset < file.sizeBytes; offset += readBytes) {
      signal.throwIfAborted();
      hash.update(await file.read(offset, Math.min(readBytes, file.sizeBytes - offset)));
      onProgress?.({ filesChecked: 0, bytesDone: bytesBefore + offset, bytesTotal: null, currentItem: null });
    }
    return { sizeBytes: file.sizeBytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}
