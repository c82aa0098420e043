import type { ErrorCode } from '@xvault/shared/errors.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ValidationLevel } from '@xvault/shared/run-kinds.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import { type ArtifactReader, openArtifact } from '../../artifact/artifact-reader.ts';
import type { Manifest } from '../../artifact/manifest.ts';
import {
  type SnapshotFileName,
  type SnapshotPlace,
  type SnapshotStorage,
  snapshotFiles,
} from '../../storage/storage.ts';
import { readDescription } from './description.ts';
import { checkEntries } from './validate-entries.ts';
import { hashStored } from './validate-hash.ts';

export interface ValidateOptions {
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  /** None where the customer alone holds the key: what is stored is compared then, but not opened. */
  readonly identities: readonly string[];
  /** What the Hub knows of the snapshot. */
  readonly ref: SnapshotRef;
  readonly level: ValidationLevel;
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
  /** Of those files; of the stored files where they were not opened. */
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
 * Compares a snapshot with what was written. `full` reads all of it back: the stored files against the Hub's checksums, every tar header
 * and every content against the index, and the ends of the streams. `quick` looks at sizes, manifest, age headers and seek tables. Damage
 * is a verdict; what says nothing about the snapshot (a broken disk, a cancellation) is thrown.
 */
export async function validateSnapshot(options: ValidateOptions): Promise<ValidationOutcome> {
  const { storage, place, identities, ref, level, signal } = options;
  const files = { filesChecked: 0, bytesChecked: 0, differing: [] as string[] };
  let storedDamage: XVaultError | null = null;
  let reader: ArtifactReader | undefined;
  try {
    storedDamage = await checkStored(options);
    // Snapshots that are older than the field were never told of.
    const manifest = ref.manifest_sha256 === null ? null : (await readDescription(storage, place, ref)).manifest;
    if (identities.length === 0) {
      if (level === 'full') files.bytesChecked = ref.artifact_bytes + ref.index_bytes;
      return outcomeOf(storedDamage, files);
    }
    reader = await openArtifact({ storage, place, identities });
    const found = level === 'full' ? await checkEntries(reader, options, files) : await checkBeginning(reader, signal);
    return outcomeOf(storedDamage ?? found ?? checkManifest(reader, manifest), files);
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

/**
 * Compares both stored files with what the Hub knows: their sizes and, in full, their checksums. Throws when one is missing; returns the
 * first damage.
 */
async function checkStored(options: ValidateOptions): Promise<XVaultError | null> {
  const { ref, level } = options;
  const expected: [SnapshotFileName, number, string][] = [
    [snapshotFiles.artifact, ref.artifact_bytes, ref.artifact_sha256],
    [snapshotFiles.index, ref.index_bytes, ref.index_sha256],
  ];
  let damage: XVaultError | null = null;
  let bytesBefore = 0;
  for (const [name, sizeBytes, sha256] of expected) {
    const found = level === 'full' ? await hashStored(options, name, bytesBefore) : await sizeStored(options, name);
    bytesBefore += found.sizeBytes;
    if (found.sizeBytes === sizeBytes && (found.sha256 ?? sha256) === sha256) continue;
    const detail = `${name} has ${found.sizeBytes} bytes, SHA-256 ${found.sha256}; should have ${sizeBytes}, ${sha256}`;
    const code = found.sizeBytes < sizeBytes ? 'ARTIFACT_TRUNCATED' : 'ARTIFACT_CORRUPT';
    damage ??= new XVaultError(code, { detail });
  }
  return damage;
}

async function sizeStored({ storage, place }: ValidateOptions, name: SnapshotFileName) {
  const file = await storage.open(place, name);
  await file.close();
  return { sizeBytes: file.sizeBytes, sha256: null };
}

/** Reads the first entry, by which the first frame of the index opens. Throws ARTIFACT_CORRUPT. */
async function checkBeginning(reader: ArtifactReader, signal: AbortSignal): Promise<null> {
  for await (const _ of reader.entries(signal)) break;
  return null;
}

function checkManifest(reader: ArtifactReader, manifest: Manifest | null): XVaultError | null {
  if (manifest === null || manifest.tar_bytes === reader.tarBytes) return null;
  const detail = `the seek table says ${reader.tarBytes} bytes of tar, the manifest ${manifest.tar_bytes}`;
  return new XVaultError('ARTIFACT_CORRUPT', { detail });
}
