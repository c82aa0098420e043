import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { StoredFile } from '../../artifact/sealed-file.ts';
import { checksumOfHalves, StoredChecksum, sha256Of, wholeFile } from '../../artifact/stored-checksum.ts';
import type { FileReader, PendingSnapshot, SnapshotFileName } from '../../storage/storage.ts';
import type { RewrapOptions } from './rewrap.ts';

/** A stored file that is to have another header. */
export interface FileTask {
  readonly name: SnapshotFileName;
  /** What the Hub knows of it. */
  readonly wanted: StoredFile;
  /** Of all after the header, where that is known. */
  readonly payloadSha256: string | undefined;
  /** Set when the checksum is of header and payload. */
  readonly headerSha256: string | undefined;
  /** Whether the next time its payload's checksum should be known. */
  readonly hashesPayload: boolean;
  /** Of other files, for the progress. */
  readonly bytesBefore: number;
}

interface Headers {
  readonly oldHeader: Buffer;
  readonly newHeader: Buffer;
}

/** What the new manifest says of the file. */
export interface RewrappedFile extends StoredFile {
  /** Set when `sha256` is of header and payload, which the storage has copied by itself. */
  readonly headerSha256?: string;
}

type Context = Pick<RewrapOptions, 'signal' | 'onProgress'>;

const copyBytes = 1024 * 1024;

/** Null where the storage does not copy by itself, or nobody could tell later whether what it has copied is whole. */
export async function copyInStorage(
  { signal, onProgress }: Context,
  pending: PendingSnapshot,
  source: FileReader,
  { name, payloadSha256, headerSha256, bytesBefore }: FileTask,
  { oldHeader, newHeader }: Headers,
): Promise<RewrappedFile | null> {
  if (payloadSha256 === undefined || pending.copyFile === undefined) return null;
  if (headerSha256 !== undefined && sha256Of(oldHeader) !== headerSha256) throw differs(name, false);
  const from = oldHeader.length;
  const copied = await pending.copyFile(name, {
    head: newHeader,
    source,
    from,
    onProgress(sizeBytes) {
      signal.throwIfAborted();
      onProgress?.(bytesBefore + from + sizeBytes);
    },
  });
  if (!copied) return null;
  const header = sha256Of(newHeader);
  const sizeBytes = source.sizeBytes - from + newHeader.length;
  return { sizeBytes, sha256: checksumOfHalves(header, payloadSha256), payloadSha256, headerSha256: header };
}

/** Reads all of it and writes it anew. Throws ARTIFACT_CORRUPT where it is not what the Hub knows. */
export async function copyPayload(
  { signal, onProgress }: Context,
  pending: PendingSnapshot,
  source: FileReader,
  { name, wanted, headerSha256, hashesPayload, bytesBefore }: FileTask,
  { oldHeader, newHeader }: Headers,
): Promise<RewrappedFile> {
  const file = await pending.createFile(name);
  const headerBytes = oldHeader.length;
  const before = new StoredChecksum(headerSha256 === undefined ? wholeFile : { type: 'halves', headerBytes });
  before.update(oldHeader);
  const after = createHash('sha256').update(newHeader);
  const payload = hashesPayload ? createHash('sha256') : null;
  await file.write(newHeader);
  for (let offset = headerBytes; offset < source.sizeBytes; ) {
    signal.throwIfAborted();
    const data = await source.read(offset, Math.min(copyBytes, source.sizeBytes - offset));
    before.update(data);
    after.update(data);
    payload?.update(data);
    await file.write(data);
    offset += data.length;
    onProgress?.(bytesBefore + offset);
  }
  if (before.digest() !== wanted.sha256) throw differs(name, false);
  await file.close();
  const sizeBytes = source.sizeBytes - headerBytes + newHeader.length;
  const payloadSha256 = payload?.digest('hex');
  return { sizeBytes, sha256: after.digest('hex'), ...(payloadSha256 !== undefined && { payloadSha256 }) };
}

export function differs(name: SnapshotFileName, isShorter: boolean): XVaultError {
  const code = isShorter ? 'ARTIFACT_TRUNCATED' : 'ARTIFACT_CORRUPT';
  return new XVaultError(code, { detail: `${name} is not what was stored` });
}
