import { XVaultError } from '@xvault/shared/errors.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';

type Limits = Pick<SyncOptions, 'mode' | 'max_delete_count' | 'max_delete_percent'>;

/**
 * Counts what the run would remove before it does anything. Throws SYNC_DELETE_GUARD when that is more than the job allows, or when the
 * source has become empty. Returns how many it may remove at most, for rclone to hold as well.
 */
export function guardDeletes(before: ReadonlySet<string>, source: ReadonlySet<string>, limits: Limits): number {
  if (limits.mode === 'copy') return 0;
  if (before.size > 0 && source.size === 0) {
    throw new XVaultError('SYNC_DELETE_GUARD', {
      detail: `the source is empty and ${before.size} objects were there before`,
      params: { deletes: before.size, objects: before.size },
    });
  }
  let deletes = 0;
  for (const path of before) if (!source.has(path)) deletes += 1;
  const byShare = Math.floor((before.size * limits.max_delete_percent) / 100);
  const allowed = Math.min(limits.max_delete_count ?? Number.POSITIVE_INFINITY, byShare);
  if (deletes > allowed) {
    throw new XVaultError('SYNC_DELETE_GUARD', {
      detail: `${deletes} of ${before.size} objects would be removed, ${allowed} may be`,
      params: { deletes, objects: before.size, allowed },
    });
  }
  return allowed;
}
