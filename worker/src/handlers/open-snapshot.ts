import { XVaultError } from '@xvault/shared/errors.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import { type Locator, ownerOf, type SnapshotRef } from '@xvault/shared/snapshots.ts';
import { type ArtifactReader, openArtifact } from '../artifact/artifact-reader.ts';
import { openStorage, placeOfLocator } from '../storage/open-storage.ts';
import type { S3Objects } from '../storage/s3-objects.ts';
import type { SnapshotPlace, SnapshotStorage } from '../storage/storage.ts';
import type { HandlerDeps } from './deps.ts';
import { snapshotIdentities } from './snapshot-keys.ts';

/** Where a snapshot is. */
export interface StoredSnapshot {
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  /** For objects beside the snapshot; null on a worker's disk. */
  readonly objects: S3Objects | null;
  /** Of another snapshot in the same storage. */
  locatorOf(place: SnapshotPlace): Promise<Locator>;
}

/** What reading a stored snapshot takes. */
export interface SnapshotAccess extends StoredSnapshot {
  /** The tenant's identity, unsealed for this run only. */
  readonly identities: readonly string[];
}

export async function accessSnapshot(
  start: StartResponse,
  ref: SnapshotRef,
  deps: HandlerDeps,
  signal: AbortSignal = never,
): Promise<SnapshotAccess> {
  return { ...(await locateSnapshot(start, ref, deps, signal)), identities: await snapshotIdentities(start, deps) };
}

/** The snapshot as it is stored, for which no key is needed. */
export async function locateSnapshot(
  start: StartResponse,
  ref: SnapshotRef,
  deps: Pick<HandlerDeps, 'config' | 'storage' | 'workerId'>,
  signal: AbortSignal = never,
): Promise<StoredSnapshot> {
  const { prefix, place } = placeOf(start, ref, deps);
  const request = { destination: ref.destination, sealed: start.destination_secret_sealed, signal, listOnly: place };
  const opened = await openStorage(prefix === null ? request : { ...request, prefix }, deps);
  return { ...opened, place };
}

/** Opens the snapshot that a run is about. */
export async function openSnapshot(
  start: StartResponse,
  ref: SnapshotRef,
  deps: HandlerDeps,
  signal: AbortSignal = never,
): Promise<ArtifactReader> {
  const expected = { artifactBytes: ref.artifact_bytes, indexBytes: ref.index_bytes };
  return openArtifact({ ...(await accessSnapshot(start, ref, deps, signal)), expected });
}

/**
 * Throws ARTIFACT_MISSING unless this worker can reach it, it is where the destination keeps such things, and of this tenant
 * and source. Its last part is an id of its own once the snapshot was copied for other keys.
 */
function placeOf(
  start: StartResponse,
  ref: SnapshotRef,
  deps: Pick<HandlerDeps, 'workerId'>,
): { readonly prefix: string | null; readonly place: SnapshotPlace } {
  const owner = ownerOf(ref.locator);
  if (owner !== null && owner !== deps.workerId) {
    throw new XVaultError('ARTIFACT_MISSING', { detail: `the snapshot is on worker ${owner}` });
  }
  const isLocal = ref.locator.storage_backend === 'local_fs';
  const { destination } = ref;
  const elsewhere =
    ref.locator.storage_backend === 's3' &&
    destination.type === 's3' &&
    destination.config.bucket !== ref.locator.bucket;
  if (isLocal !== (destination.type === 'local_fs') || elsewhere) {
    throw new XVaultError('ARTIFACT_MISSING', { detail: 'the locator names another place than the destination' });
  }
  const found = placeOfLocator(ref.locator);
  if (found.place.tenantId !== start.tenant_id || found.place.sourceId !== ref.source_id) {
    throw new XVaultError('ARTIFACT_MISSING', { detail: 'the locator names a snapshot of another tenant or source' });
  }
  return found;
}

const never = new AbortController().signal;
