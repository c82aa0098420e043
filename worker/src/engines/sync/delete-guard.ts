import { XVaultError } from '@xvault/shared/errors.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';
import { createFilter } from '../../connectors/filter/filter.ts';
import { fromStandardName } from './standard-names.ts';

type Limits = Pick<SyncOptions, 'mode' | 'max_delete_count' | 'max_delete_percent' | 'include' | 'exclude'>;

/**
 * Counts what the run would remove before it does anything. Throws SYNC_DELETE_GUARD when that is more than the job allows, or when the
 * source has become empty. Objects that the job's patterns leave out by now are not removed, nor counted: rclone sees them on neither
 * side. Returns how many it may remove at most, for rclone to hold as well.
 */
export function guardDeletes(before: ReadonlySet<string>, source: ReadonlySet<string>, limits: Limits): number {
  if (limits.mode === 'copy') return 0;
  if (before.size > 0 && source.size === 0) {
    throw new XVaultError('SYNC_DELETE_GUARD', {
      detail: `the source is empty and ${before.size} objects were there before`,
      params: { deletes: before.size, objects: before.size },
    });
  }
  const gone = [...before].filter((path) => !source.has(path));
  const { judge } = createFilter(limits);
  const isTaken = (path: string) => judge(Buffer.from(fromStandardName(path)), false) === 'take';
  const deletes = gone.filter(isTaken).length;
  const objects = before.size - gone.length + deletes;
  const byShare = Math.floor((objects * limits.max_delete_percent) / 100);
  const allowed = Math.min(limits.max_delete_count ?? Number.POSITIVE_INFINITY, byShare);
  if (deletes > allowed) {
    throw new XVaultError('SYNC_DELETE_GUARD', {
      detail: `${deletes} of ${objects} objects would be removed, ${allowed} may be`,
      params: { deletes, objects, allowed },
    });
  }
  return allowed;
}
