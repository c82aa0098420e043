import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { z } from 'zod';
import { readAgeHeader } from '../../artifact/age-header.ts';
import { type Manifest, manifestSchema, metaSchema, type SnapshotMeta } from '../../artifact/manifest.ts';
import { type ChecksumOf, wholeFile } from '../../artifact/stored-checksum.ts';
import {
  type FileReader,
  type SnapshotFileName,
  type SnapshotPlace,
  type SnapshotStorage,
  snapshotFiles,
} from '../../storage/storage.ts';

/** Far more than a manifest or a meta.json has. */
const maxDescriptionBytes = 4 * 1024 * 1024;

/**
 * Reads manifest.json and meta.json and compares them with what the Hub knows. Throws ARTIFACT_MISSING,
 * ARTIFACT_TRUNCATED, ARTIFACT_CORRUPT.
 */
export async function readDescription(
  storage: SnapshotStorage,
  place: SnapshotPlace,
  ref: SnapshotRef,
): Promise<{ manifest: Manifest; meta: SnapshotMeta }> {
  const manifestBytes = await readSmall(storage, place, snapshotFiles.manifest);
  if (ref.manifest_bytes !== null && manifestBytes.length !== ref.manifest_bytes) {
    const code = manifestBytes.length < ref.manifest_bytes ? 'ARTIFACT_TRUNCATED' : 'ARTIFACT_CORRUPT';
    throw new XVaultError(code, { detail: `${snapshotFiles.manifest} has ${manifestBytes.length} bytes` });
  }
  const sha256 = createHash('sha256').update(manifestBytes).digest('hex');
  if (ref.manifest_sha256 !== null && sha256 !== ref.manifest_sha256)
    throw wrong(snapshotFiles.manifest, 'its SHA-256');
  const manifest = parse(manifestSchema, manifestBytes, snapshotFiles.manifest);
  const meta = parse(metaSchema, await readSmall(storage, place, snapshotFiles.meta), snapshotFiles.meta);
  const { result } = meta;
  const pairs: [SnapshotFileName, string, unknown, unknown][] = [
    [snapshotFiles.manifest, 'snapshot_id', manifest.snapshot_id, ref.snapshot_id],
    [snapshotFiles.manifest, 'source_id', manifest.source_id, ref.source_id],
    [snapshotFiles.manifest, 'artifact size', manifest.artifact.size_bytes, ref.artifact_bytes],
    [snapshotFiles.manifest, 'artifact SHA-256', manifest.artifact.sha256, ref.artifact_sha256],
    [snapshotFiles.manifest, 'index size', manifest.index.size_bytes, ref.index_bytes],
    [snapshotFiles.manifest, 'index SHA-256', manifest.index.sha256, ref.index_sha256],
    [snapshotFiles.meta, 'snapshot_id', result.snapshot_id, ref.snapshot_id],
    [snapshotFiles.meta, 'source_id', meta.source_id, ref.source_id],
    [snapshotFiles.meta, 'tenant_id', meta.tenant_id, manifest.tenant_id],
    [snapshotFiles.meta, 'artifact SHA-256', result.artifact_sha256, ref.artifact_sha256],
    [snapshotFiles.meta, 'index SHA-256', result.index_sha256, ref.index_sha256],
  ];
  for (const [name, what, found, expected] of pairs) if (found !== expected) throw wrong(name, what);
  return { manifest, meta };
}

/** Whether the Hub's checksum of a file is of header and payload, not of the whole. Throws as {@link readDescription}. */
export async function isOfHalves(
  storage: SnapshotStorage,
  place: SnapshotPlace,
  ref: SnapshotRef,
  name: SnapshotFileName,
): Promise<boolean> {
  // Those without a known manifest are older than checksums of halves.
  if (name !== snapshotFiles.artifact || ref.manifest_sha256 === null) return false;
  return (await readDescription(storage, place, ref)).manifest.artifact.header_sha256 !== undefined;
}

/** Throws ARTIFACT_CORRUPT, ARTIFACT_TRUNCATED where there is no header to be told from the payload. */
export async function checksumOf(hasHalves: boolean, file: FileReader): Promise<ChecksumOf> {
  return hasHalves ? { type: 'halves', headerBytes: (await readAgeHeader(file)).length } : wholeFile;
}

async function readSmall(storage: SnapshotStorage, place: SnapshotPlace, name: SnapshotFileName): Promise<Buffer> {
  const file = await storage.open(place, name);
  try {
    if (file.sizeBytes > maxDescriptionBytes) throw wrong(name, 'its size');
    return await file.read(0, file.sizeBytes);
  } finally {
    await file.close();
  }
}

function parse<T extends z.ZodType>(schema: T, bytes: Buffer, name: SnapshotFileName): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (cause) {
    throw new XVaultError('ARTIFACT_CORRUPT', { detail: `${name} is not JSON`, cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw wrong(name, 'its form');
  return parsed.data;
}

function wrong(name: SnapshotFileName, what: string): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail: `${name} differs from what the Hub knows: ${what}` });
}
