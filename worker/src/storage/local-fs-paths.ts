import { XVaultError } from '@xvault/shared/errors.ts';
import type { SnapshotPlace } from './storage.ts';

const idPattern = /^[A-Za-z0-9_-]+$/;
const localPathPattern = /^tenants\/([A-Za-z0-9_-]+)\/sources\/([A-Za-z0-9_-]+)\/snapshots\/([A-Za-z0-9_-]+)$/;
const directoryPattern = /^([A-Za-z0-9_-]+)(?:\.part-(0|[1-9]\d{0,14}))?$/;

/** The directory of a snapshot, relative to the storage root: the `local_path` of its locator. */
export function localPathOf(place: SnapshotPlace): string {
  for (const id of [place.tenantId, place.sourceId, place.snapshotId]) {
    if (!idPattern.test(id)) throw new XVaultError('STORAGE_FAILED', { detail: `not an id: ${JSON.stringify(id)}` });
  }
  return `tenants/${place.tenantId}/sources/${place.sourceId}/snapshots/${place.snapshotId}`;
}

/** The reverse of {@link localPathOf}; throws ARTIFACT_MISSING on any other path. */
export function placeOfLocalPath(localPath: string): SnapshotPlace {
  const [, tenantId, sourceId, snapshotId] = localPathPattern.exec(localPath) ?? [];
  if (tenantId === undefined || sourceId === undefined || snapshotId === undefined) {
    throw new XVaultError('ARTIFACT_MISSING', { detail: `not the path of a snapshot: ${JSON.stringify(localPath)}` });
  }
  return { tenantId, sourceId, snapshotId };
}

export function partPathOf(place: SnapshotPlace, epoch: number): string {
  if (!Number.isSafeInteger(epoch) || epoch < 0) {
    throw new XVaultError('STORAGE_FAILED', { detail: `not an epoch: ${epoch}` });
  }
  return `${localPathOf(place)}.part-${epoch}`;
}

export function isId(name: string): boolean {
  return idPattern.test(name);
}

/** What a directory below `snapshots/` is, or null when it is none of ours. */
export function parseSnapshotDirectory(name: string): { snapshotId: string; epoch: number | null } | null {
  const [, snapshotId, epoch] = directoryPattern.exec(name) ?? [];
  if (snapshotId === undefined) return null;
  return { snapshotId, epoch: epoch === undefined ? null : Number(epoch) };
}
