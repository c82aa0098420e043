import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { OverwritePolicy, RestoreChange } from '@xvault/shared/restore-targets.ts';
import { renamed } from '../archive/restore-rename.ts';
import { type JobStats, runJob } from './job.ts';
import type { Version } from './layout.ts';
import { listOrEmpty } from './listing.ts';
import type { ManifestEntry } from './manifest.ts';
import { classify, isItemError } from './rclone/classify.ts';
import { RcError } from './rclone/rc-client.ts';
import { type PlacedObjects, resolveVersion, type VersionStore } from './resolve.ts';

const stallMs = 300_000;
const listedChanges = 1000;

export interface SyncRestore {
  readonly store: VersionStore;
  readonly version: Version;
  /** Objects and directories with all below them; null restores all. */
  readonly paths: readonly string[] | null;
  /** Where to. */
  readonly tgtFs: string;
  readonly overwrite: OverwritePolicy;
  /** What `rename` adds to a name, see `renamed`. */
  readonly mark: string;
  readonly dryRun: boolean;
  readonly onStats: (stats: JobStats) => void;
  readonly takeItemErrors: () => readonly { readonly path: string; readonly words: string }[];
}

export interface SyncRestored {
  readonly fileCount: number;
  readonly bytes: number;
  readonly actions: Partial<Record<RestoreChange['action'], number>>;
  readonly changes: readonly RestoreChange[];
  readonly failed: readonly string[];
}

/**
 * Brings a version, or some of its paths, to a remote. Throws RESTORE_PATH_NOT_FOUND, SYNC_VERSION_BROKEN before anything is written,
 * SOURCE_… when the target as a whole fails.
 */
export async function restoreVersion(restore: SyncRestore): Promise<SyncRestored> {
  const { places } = await resolveVersion(restore.store, restore.version);
  const chosen = choose(places, restore.paths);
  const planned = await plan(restore, chosen);
  const failed: string[] = [];
  if (!restore.dryRun) {
    for (const [index, place] of planned.places.entries()) failed.push(...(await copyPlace(restore, place, index)));
    for (const place of planned.beside) failed.push(...(await copyBeside(restore, place)));
  }
  const written = [...planned.places, ...planned.beside].flatMap(({ entries }) => entries);
  const lost = new Set(failed);
  const kept = written.filter(({ path }) => !lost.has(path));
  return {
    fileCount: kept.length,
    bytes: kept.reduce((sum, { size }) => sum + Math.max(0, size), 0),
    actions: { ...planned.actions, ...(failed.length > 0 && { fail: failed.length }) },
    changes: restore.dryRun ? planned.changes : [],
    failed,
  };
}

/** Throws RESTORE_PATH_NOT_FOUND for a path that nothing of the version is at or below. */
export function choose(places: readonly PlacedObjects[], paths: readonly string[] | null): PlacedObjects[] {
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
  if (missing !== undefined) throw new XVaultError('RESTORE_PATH_NOT_FOUND', { detail: missing });
  return chosen.filter(({ entries }) => entries.length > 0);
}

async function plan({ store, tgtFs, overwrite }: SyncRestore, places: readonly PlacedObjects[]) {
  const request = { recursive: true, filesOnly: true, withMtime: overwrite === 'if_newer', withHashes: false };
  const there = await listOrEmpty(store.rc, { fs: tgtFs, ...request }, store.signal).catch((error: unknown) => {
    if (!(error instanceof RcError)) throw error;
    throw new XVaultError(classify(error.words).source, { detail: `listing the target: ${error.words}`, cause: error });
  });
  const present = new Map(there.map((item) => [item.path, item]));
  const actions: Partial<Record<RestoreChange['action'], number>> = {};
  const changes: RestoreChange[] = [];
  const planned: PlacedObjects[] = [];
  const beside: PlacedObjects[] = [];
  for (const { place, entries } of places) {
    const byAction = Map.groupBy(entries, (entry) => {
      const action = judge(entry, present.get(entry.path)?.mtime, present.has(entry.path), overwrite);
      actions[action] = (actions[action] ?? 0) + 1;
      if (changes.length < listedChanges) {
        changes.push({ path: entry.path, action, type: 'file', size_bytes: Math.max(0, entry.size) });
      }
      return action;
    });
    const written = [...(byAction.get('create') ?? []), ...(byAction.get('overwrite') ?? [])];
    if (written.length > 0) planned.push({ place, entries: written });
    const renaming = byAction.get('rename') ?? [];
    if (renaming.length > 0) beside.push({ place, entries: renaming });
  }
  return { places: planned, beside, actions, changes };
}

function judge(
  entry: ManifestEntry,
  mtime: string | null | undefined,
  isThere: boolean,
  overwrite: SyncRestore['overwrite'],
): 'create' | 'overwrite' | 'skip' | 'rename' {
  if (!isThere) return 'create';
  if (overwrite === 'rename') return 'rename';
  if (overwrite === 'always') return 'overwrite';
  if (overwrite === 'never' || entry.mtime === null || mtime == null) return 'skip';
  return Date.parse(entry.mtime) > Date.parse(mtime) ? 'overwrite' : 'skip';
}

/** Returns the paths that could not be written. */
async function copyPlace(restore: SyncRestore, { place, entries }: PlacedObjects, index: number): Promise<string[]> {
  const { store, tgtFs } = restore;
  const srcFs = `${store.dstFs}${place}`;
  const listed = entries.filter(({ path }) => !/[\r\n]/.test(path));
  const failures = new Map<string, string>();
  if (listed.length > 0) {
    const list = join(store.directory, `restore-${index}.txt`);
    await writeFile(list, listed.map(({ path }) => `${path}\n`).join(''), { mode: 0o600 });
    const end = await runJob(store.rc, {
      method: 'sync/copy',
      input: { srcFs, dstFs: tgtFs, _config: { IgnoreTimes: true }, _filter: { FilesFromRaw: [list] } },
      group: `restore-${index}`,
      onStats: restore.onStats,
      stallMs,
      onStall: () => {
        throw new XVaultError('SYNC_STALLED', { detail: `nothing moved for ${stallMs / 1000} s` });
      },
      signal: store.signal,
    });
    for (const { path, words } of restore.takeItemErrors()) failures.set(path, words);
    if (end.error !== null && (failures.size === 0 || !isItemError(classify(end.error)))) {
      throw new XVaultError(classify(end.error).source, { detail: `rclone: ${end.error}` });
    }
  }
  // A list of files has a name on each line, so these go one by one.
  const odd = entries.filter(({ path }) => /[\r\n]/.test(path));
  return [...failures.keys(), ...(await copyOneByOne(restore, { place, entries: odd }, (path) => path))];
}

/** Under names of their own, beside what is there. */
function copyBeside(restore: SyncRestore, placed: PlacedObjects): Promise<string[]> {
  return copyOneByOne(restore, placed, (path) => renamed(Buffer.from(path), restore.mark).toString());
}

async function copyOneByOne(
  { store, tgtFs }: SyncRestore,
  { place, entries }: PlacedObjects,
  nameOf: (path: string) => string,
): Promise<string[]> {
  const failed: string[] = [];
  for (const { path } of entries) {
    try {
      const input = { srcFs: `${store.dstFs}${place}`, srcRemote: path, dstFs: tgtFs, dstRemote: nameOf(path) };
      await store.rc.call('operations/copyfile', input, store.signal);
    } catch (error) {
      if (!(error instanceof RcError)) throw error;
      failed.push(path);
    }
  }
  return failed;
}
