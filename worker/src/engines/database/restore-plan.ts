import { XVaultError } from '@xvault/shared/errors.ts';
import type { StoredDatabase } from './stored-databases.ts';
import type { DatabaseState, DatabaseTarget } from './target.ts';

export interface PlannedDatabase {
  readonly stored: StoredDatabase;
  readonly name: string;
  readonly state: DatabaseState;
}

export interface RestorePlanOptions {
  readonly stored: readonly StoredDatabase[];
  /** Snapshot paths; null for all. */
  readonly paths: readonly string[] | null;
  /** Name in the snapshot → name at the target; null for all under their own. */
  readonly databases: Readonly<Record<string, string>> | null;
  readonly overwrite: boolean;
  readonly target: DatabaseTarget;
}

/**
 * What is to be restored under which names; nothing is written yet. Throws RESTORE_PATH_NOT_FOUND, RESTORE_TARGET_UNSUPPORTED,
 * RESTORE_TARGET_INVALID, DATABASE_EXISTS.
 */
export async function planRestore(options: RestorePlanOptions): Promise<PlannedDatabase[]> {
  const chosen = named(onPaths(options.stored, options.paths), options.databases);
  const names = new Set<string>();
  for (const { stored, name } of chosen) {
    if (!options.target.takes(stored.description)) {
      throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', {
        detail: `a dump of ${stored.description.engine} cannot go to this kind of server`,
        params: { database: stored.description.name },
      });
    }
    if (names.has(name)) {
      throw new XVaultError('RESTORE_TARGET_INVALID', {
        detail: `two databases would be restored as ${JSON.stringify(name)}`,
        params: { database: name },
      });
    }
    names.add(name);
  }
  const planned: PlannedDatabase[] = [];
  for (const { stored, name } of chosen) {
    const state = await options.target.state(name);
    if (state === 'full' && !options.overwrite)
      throw new XVaultError('DATABASE_EXISTS', { params: { database: name } });
    planned.push({ stored, name, state });
  }
  return planned;
}

function onPaths(stored: readonly StoredDatabase[], paths: readonly string[] | null): StoredDatabase[] {
  if (paths === null) return [...stored];
  const chosen = new Set<StoredDatabase>();
  for (const path of paths.map((text) => text.replace(/\/+$/, ''))) {
    const found = stored.filter((one) => path === '.' || path === 'databases' || one.path === path);
    if (found.length === 0) throw new XVaultError('RESTORE_PATH_NOT_FOUND', { params: { path } });
    for (const one of found) chosen.add(one);
  }
  return [...chosen];
}

function named(stored: readonly StoredDatabase[], databases: Readonly<Record<string, string>> | null) {
  if (databases === null) {
    if (stored.length === 0) throw new XVaultError('RESTORE_PATH_NOT_FOUND', { params: { path: 'databases' } });
    return stored.map((one) => ({ stored: one, name: one.description.name }));
  }
  return Object.entries(databases).map(([from, name]) => {
    const one = stored.find(({ description }) => description.name === from);
    if (one === undefined) throw new XVaultError('RESTORE_PATH_NOT_FOUND', { params: { path: from } });
    return { stored: one, name };
  });
}
