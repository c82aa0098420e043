import { XVaultError } from '@xvault/shared/errors.ts';
import { localPathOf, partPathOf } from './local-fs-paths.ts';
import type { SnapshotPlace } from './storage.ts';

/** What the keys of a snapshot's files begin with, below the destination's prefix. */
export const snapshotKeyOf = localPathOf;

/** The empty object that stands for an attempt from its beginning to its end. */
export function markerKeyOf(place: SnapshotPlace, epoch: number): string {
  if (epoch < 1) throw new XVaultError('STORAGE_FAILED', { detail: `epoch ${epoch} is reserved` });
  return partPathOf(place, epoch);
}
