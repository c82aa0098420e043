import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import { encodeAgeHeader, openAgeHeader, readAgeHeader } from '../../artifact/age-header.ts';
import { type Manifest, manifestSchema, metaSchema, type SnapshotMeta } from '../../artifact/manifest.ts';
import type { StoredFile } from '../../artifact/sealed-file.ts';
import {
  type PendingSnapshot,
  type SnapshotFileName,
  type SnapshotPlace,
  type SnapshotStorage,
  snapshotFiles,
} from '../../storage/storage.ts';
import { readDescription } from './description.ts';
import { copyInStorage, copyPayload, differs, type FileTask, type RewrappedFile } from './rewrap-copy.ts';

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

/**
 * Makes a copy of a snapshot with age headers for other recipients; the encrypted contents stay as they are, byte for byte. What
 * is read is compared with the Hub's checksums on the way; what the storage copies by itself keeps its checksum, so that damage is
 * never given a good one. On any failure nothing is published or left behind. Throws IDENTITY_MISMATCH, ARTIFACT_*, STORAGE_*, the
 * signal's reason.
 */
export async function rewrapSnapshot(options: RewrapOptions): Promise<RewrappedSnapshot> {
  const { storage, place, target, epoch, ref, signal } = options;
  const old = await readDescription(storage, place, ref);
  const pending = await storage.create(target, epoch);
  try {
    const { payload_sha256: payloadSha256, header_sha256: headerSha256 } = old.manifest.artifact;
    const artifact = await rewrapFile(options, pending, {
      name: snapshotFiles.artifact,
      wanted: { sizeBytes: ref.artifact_bytes, sha256: ref.artifact_sha256 },
      // Only a manifest that the Hub vouches for does.
      payloadSha256: ref.manifest_sha256 === null ? undefined : payloadSha256,
      headerSha256,
      hashesPayload: pending.copyFile !== undefined,
      bytesBefore: 0,
    });
    const index = await rewrapFile(options, pending, {
      name: snapshotFiles.index,
      wanted: { sizeBytes: ref.index_bytes, sha256: ref.index_sha256 },
      payloadSha256: undefined,
      headerSha256: undefined,
      hashesPayload: false,
      bytesBefore: ref.artifact_bytes,
    });
    const manifest = await rewriteDescription(options, pending, old, artifact, index);
    signal.throwIfAborted();
    await pending.commit();
    return { artifact, index, manifest };
  } catch (error) {
    // What cannot be removed now is an unpublished part, which the sweeper removes; the first error is the one to tell.
    await Promise.allSettled([pending.abort()]);
    throw signal.aborted ? signal.reason : error;
  }
}

async function rewrapFile(options: RewrapOptions, pending: PendingSnapshot, task: FileTask): Promise<RewrappedFile> {
  const { name, wanted } = task;
  const source = await options.storage.open(options.place, name);
  try {
    if (source.sizeBytes !== wanted.sizeBytes) throw differs(name, source.sizeBytes < wanted.sizeBytes);
    const oldHeader = await readAgeHeader(source);
    const fileKey = await openAgeHeader(oldHeader, options.identities);
    const newHeader = await encodeAgeHeader(fileKey, options.recipients);
    await checkHeader(newHeader, fileKey, options.identities);
    const headers = { oldHeader, newHeader };
    return (
      (await copyInStorage(options, pending, source, task, headers)) ??
      (await copyPayload(options, pending, source, task, headers))
    );
  } finally {
    await source.close();
  }
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
  { recipients }: RewrapOptions,
  pending: PendingSnapshot,
  old: { readonly manifest: Manifest; readonly meta: SnapshotMeta },
  artifact: RewrappedFile,
  index: StoredFile,
): Promise<StoredFile> {
  const encryption = { algorithm: 'age' as const, recipients: [...recipients] };
  const manifest: Manifest = {
    ...old.manifest,
    artifact: {
      name: old.manifest.artifact.name,
      size_bytes: artifact.sizeBytes,
      sha256: artifact.sha256,
      ...(artifact.payloadSha256 !== undefined && { payload_sha256: artifact.payloadSha256 }),
      ...(artifact.headerSha256 !== undefined && { header_sha256: artifact.headerSha256 }),
    },
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
