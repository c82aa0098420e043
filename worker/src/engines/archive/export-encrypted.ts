import { XVaultError } from '@xvault/shared/errors.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import { StoredChecksum } from '../../artifact/stored-checksum.ts';
import { encodeTarHeader, tarEndBytes, tarPaddingBytes } from '../../artifact/tar.ts';
import {
  type FileReader,
  type SnapshotFileName,
  type SnapshotPlace,
  type SnapshotStorage,
  snapshotFiles,
} from '../../storage/storage.ts';
import { checksumOf, isOfHalves } from './description.ts';
import type { OnRestoreProgress } from './restore-progress.ts';

export interface StoredExport {
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  /** What the catalogue says of the files. */
  readonly ref: SnapshotRef;
  readonly signal: AbortSignal;
  readonly onProgress?: OnRestoreProgress;
}

const readBytes = 1024 * 1024;

/** Sizes and checksums as the catalogue has them; null where it has none. */
function expectedOf({ ref }: StoredExport): [SnapshotFileName, number | null, string | null][] {
  return [
    [snapshotFiles.manifest, ref.manifest_bytes, ref.manifest_sha256],
    [snapshotFiles.artifact, ref.artifact_bytes, ref.artifact_sha256],
    [snapshotFiles.index, ref.index_bytes, ref.index_sha256],
  ];
}

/**
 * The snapshot's files as they are stored, still encrypted, in a plain tar: manifest, artifact, index. Throws ARTIFACT_CORRUPT or
 * ARTIFACT_TRUNCATED when they are not what was written.
 */
export async function* encryptedStream(stored: StoredExport): AsyncGenerator<Buffer> {
  const { storage, place, ref } = stored;
  const totalBytes = ref.artifact_bytes + ref.index_bytes + (ref.manifest_bytes ?? 0);
  const mtimeNs = BigInt(Date.now()) * 1_000_000n;
  let doneBytes = 0;
  for (const [name, sizeBytes, sha256] of expectedOf(stored)) {
    const file = await storage.open(place, name);
    try {
      if (sizeBytes !== null && file.sizeBytes !== sizeBytes) throw differs(name, file.sizeBytes < sizeBytes);
      const path = Buffer.from(name);
      const meta = { mode: 0o600, uid: 0, gid: 0, mtimeNs, linkTarget: null };
      yield encodeTarHeader({ path, type: 'file', sizeBytes: file.sizeBytes, ...meta });
      const hash = new StoredChecksum(await checksumOf(await isOfHalves(storage, place, ref, name), file));
      for await (const chunk of checked(file, hash, name, sha256, stored.signal)) {
        yield chunk;
        doneBytes += chunk.length;
        const files = { filesDone: 0, filesTotal: 0 };
        stored.onProgress?.({ ...files, bytesDone: doneBytes, bytesTotal: totalBytes, currentItem: name });
      }
      yield Buffer.alloc(tarPaddingBytes(file.sizeBytes));
    } finally {
      await file.close();
    }
  }
  yield Buffer.alloc(tarEndBytes);
}

async function* checked(
  file: FileReader,
  hash: StoredChecksum,
  name: string,
  sha256: string | null,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for (let at = 0; at < file.sizeBytes; at += readBytes) {
    signal.throwIfAborted();
    const chunk = await file.read(at, Math.min(readBytes, file.sizeBytes - at));
    hash.update(chunk);
    yield chunk;
  }
  if (sha256 !== null && hash.digest() !== sha256) throw differs(name, false);
}

function differs(name: string, isShorter: boolean): XVaultError {
  return new XVaultError(isShorter ? 'ARTIFACT_TRUNCATED' : 'ARTIFACT_CORRUPT', {
    detail: `${name} is not what was written`,
  });
}
