import { XVaultError } from '@xvault/shared/errors.ts';
import type { PlacedObjects } from './resolve.ts';

/**
 * The objects at or below some paths of a version; null chooses all. Throws RESTORE_PATH_NOT_FOUND for a path that nothing of the
 * version is at or below.
 */
export function chooseObjects(places: readonly PlacedObjects[], paths: readonly string[] | null): PlacedObjects[] {
  if (paths === null) return [...places];
  const wanted = paths.map((path) => path.replaceAll('\\\\', '\\').replace(/\/+$/, ''));
  const found = new Set<string>();
  const chosen = places.map(({ place, entries }) => ({
    place,
    entries: entries.filter(({ path }) => {
      const by = wanted.filter((each) => path === each || path.startsWith(`${each}/`));
      for (const each of by) found.add(each);
      return by.length > 0;
    }),
  }));
  const missing = wanted.find((path) => !found.has(path));
  if (missing !== undefined) throw new XVaultError('RESTORE_PATH_NOT_FOUND', { params: { path: missing } });
  return chosen.filter(({ entries }) => entries.length > 0);
}
