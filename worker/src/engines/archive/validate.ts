import type { ErrorCode } from '@xvault/shared/errors.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import { type ArtifactReader, openArtifact } from '../../artifact/artifact-reader.ts';
import {
  type SnapshotFileName,
  type SnapshotPlace,
  type SnapshotStorage,
  snapshotFiles,
} from '../../storage/storage.ts';
import { checkEntries } from './validate-entries.ts';
import { hashStored } from './validate-hash.ts';

export interface ValidateOptions {
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  readonly identities: readonly string[];
  /** What the Hub knows of the snapshot. */
  readonly ref: SnapshotRef;
  readonly signal: AbortSignal;
  readonly onProgress?: (status: ValidationStatus) => void;
}

/** Bytes count the stored files once and the tar stream once. */
export interface ValidationStatus {
  readonly filesChecked: number;
  readonly bytesDone: number;
  /** null until the snapshot is open. */
  readonly bytesTotal: number | null;
  readonly currentItem: string | null;
}

export interface ValidationOutcome {
  readonly verdict: 'success' | 'failed';
  /** Regular files whose content was compared with its checksum. */
  readonly filesChecked: number;
  readonly bytesChecked: number;
  /** Snapshot paths as text of entries that differ, at most 100. */
  readonly differing: string[];
  readonly errorCode: ErrorCode | null;
  /** For operators. */
  readonly detail: string | null;
}

const damageCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ARTIFACT_CORRUPT',
  'ARTIFACT_TRUNCATED',
  'ARTIFACT_MISSING',
  'IDENTITY_MISMATCH',
]);

/**
 * Reads a snapshot back in full: both stored files against the Hub's checksums, every tar header and every content against the index, and
 * the ends of the streams. Damage is a verdict; what says nothing about the snapshot (a broken disk, a cancellation) is thrown.
 */
export async function validateSnapshot(options: ValidateOptions): Promise<ValidationOutcome> {
  const { storage, place, identities, signal } = options;
  const files = { filesChecked: 0, bytesChecked: 0, differing: [] as string[] };
  let storedDamage: XVaultError | null = null;
  let reader: ArtifactReader | undefined;
  try {
    storedDamage = await checkStored(options);
    reader = await openArtifact({ storage, place, identities });
    const found = await checkEntries(reader, options, files);
    return outcomeOf(storedDamage ?? found, files);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof XVaultError) || !damageCodes.has(error.code)) throw error;
    // A damaged file explains whatever went wrong in reading it.
    return outcomeOf(storedDamage ?? error, files);
  } finally {
    await reader?.close();
  }
}

function outcomeOf(
  damage: XVaultError | null,
  files: { filesChecked: number; bytesChecked: number; differing: string[] },
): ValidationOutcome {
  const verdict = damage === null ? 'success' : 'failed';
  return { verdict, ...files, errorCode: damage?.code ?? null, detail: damage?.detail ?? null };
}

/** Compares both stored files with what the Hub knows. Throws when one is missing; returns the first damage. */
async function checkStored(options: ValidateOptions): Promise<XVaultError | null> {
  const { ref } = options;
  const expected: [SnapshotFileName, number, string][] = [
    [snapshotFiles.artifact, ref.artifact_bytes, ref.artifact_sha256],
    [snapshotFiles.index, ref.index_bytes, ref.index_sha256],
  ];
  let damage: XVaultError | null = null;
  let bytesBefore = 0;
  for (const [name, sizeBytes, sha256] of expected) {
    const found = await hashStored(options, name, bytesBefore);
    bytesBefore += found.sizeBytes;
    if (found.sizeBytes === sizeBytes && found.sha256 === sha256) continue;
    const detail = `${name} has ${found.sizeBytes} bytes, SHA-256 ${found.sha256}; should have ${sizeBytes}, ${sha256}`;
    const code = found.sizeBytes < sizeBytes ? 'ARTIFACT_TRUNCATED' : 'ARTIFACT_CORRUPT';
    damage ??= new XVaultError(code, { detail });
  }
  return damage;
}
