import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import { encodeAgeHeader, openAgeHeader, readAgeHeader } from '../../artifact/age-header.ts';
import { type Manifest, manifestSchema, metaSchema, type SnapshotMeta } from '../../artifact/manifest.ts';
import type { StoredFile } from '../../artifact/sealed-file.ts';
import {
  type FileReader,
  type FileWriter,
  type PendingSnapshot,
  type SnapshotFileName,
  type SnapshotPlace,
  type SnapshotStorage,
  snapshotFiles,
} from '../../storage/storage.ts';
import { readDescription } from './description.ts';

export interface RewrapOptions {
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  /** Where the copy goes: nobody reads it until the Hub knows of it. */
  readonly target: SnapshotPlace;
  readonly epoch: number;
  readonly identities: readonly string[];
  /** The Hub's word on what is stored. */
  readonly ref: SnapshotRef;
  readonly recipients: readonly string[];
  readonly signal: AbortSignal;
  readonly onProgress?: (bytesDone: number) => void;
}

export interface RewrappedSnapshot {
  readonly artifact: StoredFile;
  readonly index: StoredFile;
  readonly manifest: StoredFile;
}

const copyBytes = 1024 * 1024;

/**
 * Copies a snapshot with age headers for other recipients; the encrypted contents stay as they are, byte for byte. What
 * is read is compared with the Hub's checksums on the way, so that damage is never given a good one. On any failure
 * nothing is published or left behind. Throws IDENTITY_MISMATCH, ARTIFACT_*, STORAGE_*, the signal's reason.
 */
export async function rewrapSnapshot(options: RewrapOptions): Promise<RewrappedSnapshot> {
  const { storage, target, epoch, ref, signal } = options;
  const pending = await storage.create(target, epoch);
  try {
    const wanted = { sizeBytes: ref.artifact_bytes, sha256: ref.artifact_sha256 };
    const artifact = await rewrapFile(options, pending, snapshotFiles.artifact, wanted, 0);
    const wantedIndex = { sizeBytes: ref.index_bytes, sha256: ref.index_sha256 };
    const index = await rewrapFile(options, pending, snapshotFiles.index, wantedIndex, ref.artifact_bytes);
    const manifest = await rewriteDescription(options, pending, artifact, index);
    signal.throwIfAborted();
    await pending.commit();
    return { artifact, index, manifest };
  } catch (error) {
    // What cannot be removed now is an unpublished part, which the sweeper removes; the first error is the one to tell.
    await Promise.allSettled([pending.abort()]);
    throw signal.aborted ? signal.reason : error;
  }
}

async function rewrapFile(
  options: RewrapOptions,
  pending: PendingSnapshot,
  name: SnapshotFileName,
  wanted: StoredFile,
  bytesBefore: number,
): Promise<StoredFile> {
  const source = await options.storage.open(options.place, name);
  try {
    if (source.sizeBytes !== wanted.sizeBytes) throw differs(name, source.sizeBytes < wanted.sizeBytes);
    const oldHeader = await readAgeHeader(source);
    const fileKey = await openAgeHeader(oldHeader, options.identities);
    const newHeader = await encodeAgeHeader(fileKey, options.recipients);
    await checkHeader(newHeader, fileKey, options.identities);
    const file = await pending.createFile(name);
    return await copyPayload(options, source, file, { oldHeader, newHeader, name, wanted, bytesBefore });
  } finally {
    await source.close();
  }
}

interface Copy {
  readonly oldHeader: Buffer;
  readonly newHeader: Buffer;
  readonly name: SnapshotFileName;
  readonly wanted: StoredFile;
  readonly bytesBefore: number;
}

async function copyPayload(
  { signal, onProgress }: RewrapOptions,
  source: FileReader,
  file: FileWriter,
  { oldHeader, newHeader, name, wanted, bytesBefore }: Copy,
): Promise<StoredFile> {
  const before = createHash('sha256').update(oldHeader);
  const after = createHash('sha256').update(newHeader);
  await file.write(newHeader);
  for (let offset = oldHeader.length; offset < source.sizeBytes; ) {
    signal.throwIfAborted();
    const data = await source.read(offset, Math.min(copyBytes, source.sizeBytes - offset));
    before.update(data);
    after.update(data);
    await file.write(data);
    offset += data.length;
    onProgress?.(bytesBefore + offset);
  }
  if (before.digest('hex') !== wanted.sha256) throw differs(name, false);
  await file.close();
  return { sizeBytes: source.sizeBytes - oldHeader.length + newHeader.length, sha256: after.digest('hex') };
}

/** Opens the new header where that is possible: a customer's own key is not at hand. */
async function checkHeader(header: Buffer, fileKey: Uint8Array, identities: readonly string[]): Promise<void> {
  try {
    if (Buffer.compare(await openAgeHeader(header, identities), fileKey) === 0) return;
  } catch (error) {
    if (error instanceof XVaultError && error.code === 'IDENTITY_MISMATCH') return;
    throw error;
  }
  throw new XVaultError('INTERNAL', { detail: 'the new header holds another file key' });
}

async function rewriteDescription(
  { storage, place, ref, recipients }: RewrapOptions,
  pending: PendingSnapshot,
  artifact: StoredFile,
  index: StoredFile,
): Promise<StoredFile> {
  const old = await readDescription(storage, place, ref);
  const encryption = { algorithm: 'age' as const, recipients: [...recipients] };
  const manifest: Manifest = {
    ...old.manifest,
    artifact: { ...old.manifest.artifact, size_bytes: artifact.sizeBytes, sha256: artifact.sha256 },
    index: { ...old.manifest.index, size_bytes: index.sizeBytes, sha256: index.sha256 },
    encryption,
  };
  const stored = await writeJson(pending, snapshotFiles.manifest, manifestSchema.parse(manifest));
  const meta: SnapshotMeta = {
    ...old.meta,
    result: {
      ...old.meta.result,
      stored_bytes: artifact.sizeBytes + index.sizeBytes,
      artifact_bytes: artifact.sizeBytes,
      artifact_sha256: artifact.sha256,
      index_bytes: index.sizeBytes,
      index_sha256: index.sha256,
      manifest_bytes: stored.sizeBytes,
      manifest_sha256: stored.sha256,
      encryption,
    },
  };
  await writeJson(pending, snapshotFiles.meta, metaSchema.parse(meta));
  return stored;
}

async function writeJson(pending: PendingSnapshot, name: SnapshotFileName, value: object): Promise<StoredFile> {
  const bytes = Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
  const file = await pending.createFile(name);
  await file.write(bytes);
  await file.close();
  return { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function differs(name: SnapshotFileName, isShorter: boolean): XVaultError {
  const code = isShorter ? 'ARTIFACT_TRUNCATED' : 'ARTIFACT_CORRUPT';
  return new XVaultError(code, { detail: `${name} is not what was stored` });
}
