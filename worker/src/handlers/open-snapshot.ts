import { XVaultError } from '@xvault/shared/errors.ts';
import type { StartResponse } from '@xvault/shared/internal-api.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import { ownerOf, type SnapshotRef } from '@xvault/shared/snapshots.ts';
import { type ArtifactReader, openArtifact } from '../artifact/artifact-reader.ts';
import { placeOfLocalPath } from '../storage/local-fs.ts';
import type { SnapshotPlace, SnapshotStorage } from '../storage/storage.ts';
import type { HandlerDeps } from './deps.ts';

/** What reading a stored snapshot takes. */
export interface SnapshotAccess {
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  /** The tenant's identity, unsealed for this run only. */
  readonly identities: readonly string[];
}

export async function accessSnapshot(
  start: StartResponse,
  ref: SnapshotRef,
  deps: HandlerDeps,
): Promise<SnapshotAccess> {
  const place = placeOf(start, ref, deps);
  return { storage: deps.storage, place, identities: await snapshotIdentities(start, deps) };
}

/** Opens the snapshot that a run is about. */
export async function openSnapshot(start: StartResponse, ref: SnapshotRef, deps: HandlerDeps): Promise<ArtifactReader> {
  const expected = { artifactBytes: ref.artifact_bytes, indexBytes: ref.index_bytes };
  return openArtifact({ ...(await accessSnapshot(start, ref, deps)), expected });
}

/** Throws ARTIFACT_MISSING unless it is this worker's, of this tenant and id. */
export function placeOf(start: StartResponse, ref: SnapshotRef, deps: Pick<HandlerDeps, 'workerId'>): SnapshotPlace {
  if (ref.locator.storage_backend !== 'local_fs' || ownerOf(ref.locator) !== deps.workerId) {
    throw new XVaultError('ARTIFACT_MISSING', { detail: `the snapshot is on worker ${ownerOf(ref.locator)}` });
  }
  const place = placeOfLocalPath(ref.locator.local_path);
  if (place.tenantId !== start.tenant_id || place.snapshotId !== ref.snapshot_id) {
    throw new XVaultError('ARTIFACT_MISSING', { detail: 'the locator names a snapshot of another tenant or id' });
  }
  return place;
}

async function snapshotIdentities(start: StartResponse, deps: HandlerDeps): Promise<string[]> {
  const vault = deps.config.XVAULT_VAULT_IDENTITY;
  if (vault === undefined) throw new XVaultError('KEY_NOT_HELD', { detail: 'this worker has no vault identity' });
  const sealed = [start.run_identity_sealed, ...start.tenant_identities_sealed].filter((one) => one !== null);
  if (sealed.length === 0) throw new XVaultError('TENANT_KEY_UNAVAILABLE');
  return Promise.all(sealed.map((one) => unseal(one, [vault])));
}
