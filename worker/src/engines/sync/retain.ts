import { XVaultError } from '@xvault/shared/errors.ts';
import { fetchManifest, type History, readHistory } from './history.ts';
import {
  compareVersions,
  currentDirectory,
  formatVersion,
  manifestFile,
  manifestsDirectory,
  type Version,
  versionsDirectory,
} from './layout.ts';
import { type Manifest, sha256OfFile } from './manifest.ts';
import { deleteFile, fetchFile } from './remote-files.ts';
import { keptPlace, listKept, listPlace, type VersionStore } from './resolve.ts';

const deletesInFlight = 8;

export interface Retained {
  readonly removedObjects: number;
  readonly removedVersions: number;
}

/** A version that holds a path and is not yet found in what was kept. */
interface Holder {
  readonly version: Version;
  readonly stays: boolean;
}
type Holders = Map<string, readonly Holder[]>;

/**
 * Forgets a version, and with it what nobody knows of and is older than it or than one to keep: attempts that were never committed.
 * Removes every object that only those resolve to. Whatever is newer is needed, whoever made it. Only for a moment at which
 * nothing is written there.
 * @param sha256 of the dropped version's manifest: another of that name, made since an earlier try, stays. Null where not known.
 * Throws SYNC_VERSION_BROKEN when a manifest that stays cannot be read, SYNC_FAILED when an attempt has begun meanwhile.
 */
export async function retainVersions(
  store: VersionStore,
  dropped: Version,
  keep: readonly Version[],
  sha256: string | null = null,
): Promise<Retained> {
  const { rc, dstFs, signal } = store;
  const history = await readHistory(rc, dstFs, signal);
  const kept = new Set(keep.map(formatVersion));
  const isDropped = (version: Version) => compareVersions(version, dropped) === 0;
  const mayGo = !kept.has(formatVersion(dropped)) && !(await isAnother(store, dropped, sha256));
  // Of what is there: a number that is free again may be that of a version made since.
  const known = history.versions.filter((version) => kept.has(formatVersion(version)) || (mayGo && isDropped(version)));
  const limit = known.at(-1) ?? (history.versions.length === 0 ? dropped : undefined);
  if (limit === undefined) return { removedObjects: 0, removedVersions: 0 };
  const isNewer = (version: Version) => compareVersions(version, limit) > 0;
  const holders: Holders = new Map();
  const going: Version[] = [];
  for (const version of history.versions) {
    const stays = isNewer(version) || kept.has(formatVersion(version)) || (isDropped(version) && !mayGo);
    if (!stays) going.push(version);
    const manifest = stays ? await requireManifest(store, version) : await readIfWhole(store, version);
    for (const path of manifest?.entries.keys() ?? []) {
      holders.set(path, [...(holders.get(path) ?? []), { version, stays }]);
    }
  }
  let removedObjects = await sweepKept(store, holders, isNewer);
  const areAllGoing = going.length === history.versions.length;
  if (areAllGoing || going.length > 0) {
    await requireQuiet(store, history);
    const isLast = areAllGoing && !history.unfinished.some(({ version }) => isNewer(version));
    const isNeeded = (path: string) => !isLast && !isGone(holders.get(path));
    removedObjects += await sweep(store, currentDirectory, isNeeded);
  }
  // Last, and of them the one that was asked for, so that a try that was cut short finds it and goes on.
  for (const version of going.sort((a, b) => Number(isDropped(a)) - Number(isDropped(b)))) {
    await deleteFile(rc, dstFs, `${manifestsDirectory}/${manifestFile(version)}`, signal);
  }
  if (removedObjects > 0) await removeEmptyDirectories(store);
  return { removedObjects, removedVersions: going.length };
}

/** Whether the name of the version to be dropped is by now that of another one. */
async function isAnother(store: VersionStore, version: Version, sha256: string | null): Promise<boolean> {
  // Damaged, it is nobody's.
  if (sha256 === null || (await readIfWhole(store, version)) === null) return false;
  const { rc, dstFs, directory, signal } = store;
  const from = { fs: dstFs, path: `${manifestsDirectory}/${manifestFile(version)}` };
  const path = await fetchFile(rc, from, directory, 'dropped.jsonl.gz', signal);
  return path !== null && (await sha256OfFile(path)) !== sha256;
}

async function requireManifest({ rc, dstFs, directory, signal }: VersionStore, version: Version): Promise<Manifest> {
  const manifest = await fetchManifest(rc, dstFs, version, directory, signal);
  if (manifest !== null) return manifest;
  const detail = `the manifest of version ${formatVersion(version)} is listed and cannot be fetched`;
  throw new XVaultError('SYNC_VERSION_BROKEN', { detail });
}

/** Null where it is damaged: which objects in `current/` only it has is then not known, and they stay. */
async function readIfWhole({ rc, dstFs, directory, signal }: VersionStore, version: Version): Promise<Manifest | null> {
  try {
    return await fetchManifest(rc, dstFs, version, directory, signal);
  } catch (error) {
    if (error instanceof XVaultError && error.code === 'SYNC_VERSION_BROKEN') return null;
    throw error;
  }
}

/** What is left of the holders has what is in `current/`. */
async function sweepKept(
  store: VersionStore,
  holders: Holders,
  isNewer: (version: Version) => boolean,
): Promise<number> {
  let removed = 0;
  for (const kept of await listKept(store)) {
    removed += await sweep(store, keptPlace(kept), (path) => {
      const waiting = holders.get(path) ?? [];
      const [rest, found] = [waiting.filter(isSince), waiting.filter((holder) => !isSince(holder))];
      // It is what those older versions had: they look no further.
      if (found.length > 0) holders.set(path, rest);
      return isNewer(kept.version) || found.some(({ stays }) => stays);
    });

    function isSince({ version }: Holder): boolean {
      return compareVersions(version, kept.version) >= 0;
    }
  }
  return removed;
}

function isGone(holders: readonly Holder[] = []): boolean {
  return holders.length > 0 && holders.every(({ stays }) => !stays);
}

/** What an attempt that has begun since needs of `current/` is told by nothing yet. */
async function requireQuiet({ rc, dstFs, signal }: VersionStore, before: History): Promise<void> {
  const { next } = await readHistory(rc, dstFs, signal);
  if (next === before.next) return;
  throw new XVaultError('SYNC_FAILED', { detail: 'another run has begun to write there' });
}

async function sweep(store: VersionStore, place: string, isNeeded: (path: string) => boolean): Promise<number> {
  const { rc, dstFs, signal } = store;
  const doomed = (await listPlace(store, place)).filter(({ path }) => !isNeeded(path));
  const waiting = doomed.values();
  const deleter = async () => {
    for (const { path } of waiting) {
      signal.throwIfAborted();
      await deleteFile(rc, dstFs, `${place}/${path}`, signal);
    }
  };
  await Promise.all(Array.from({ length: deletesInFlight }, deleter));
  return doomed.length;
}

/** Where directories are things of their own; failing at it loses nothing. */
async function removeEmptyDirectories({ rc, dstFs, signal }: VersionStore): Promise<void> {
  const remove = (place: string) => rc.call('operations/rmdirs', { fs: dstFs, remote: place, leaveRoot: true }, signal);
  await Promise.allSettled([versionsDirectory, currentDirectory].map(remove));
}
