import { fetchManifest, readHistory } from './history.ts';
import {
  compareVersions,
  formatVersion,
  manifestFile,
  manifestsDirectory,
  type Version,
  versionsDirectory,
} from './layout.ts';
import { deleteFile } from './remote-files.ts';
import { keptPlace, listKept, listPlace, type VersionStore } from './resolve.ts';

export interface Retained {
  readonly removedObjects: number;
  readonly removedVersions: number;
}

/**
 * Removes every manifest but those to keep and the newest, and every kept object that none of them resolves to. What is being added
 * meanwhile is newer than all of them and so is needed by none, or is found needed.
 */
export async function retainVersions(
  store: VersionStore,
  dropped: Version,
  keep: readonly Version[],
): Promise<Retained> {
  const { rc, dstFs, directory, signal } = store;
  const { versions } = await readHistory(rc, dstFs, signal);
  const wanted = new Set(keep.map(formatVersion));
  const newest = versions.at(-1);
  // The newest says what a next run would remove, whether or not the Hub has heard of it, unless it is the one to go.
  if (newest !== undefined && compareVersions(newest, dropped) !== 0) wanted.add(formatVersion(newest));
  const holding = versions.filter((version) => wanted.has(formatVersion(version)));
  // For each path, the versions that hold it and are not yet found in what was kept, oldest first.
  const needed = new Map<string, Version[]>();
  for (const version of holding) {
    const manifest = await fetchManifest(rc, dstFs, version, directory, signal);
    for (const path of manifest?.entries.keys() ?? []) needed.set(path, [...(needed.get(path) ?? []), version]);
  }
  let removedObjects = 0;
  for (const kept of await listKept(store)) {
    const place = keptPlace(kept);
    for (const { path } of await listPlace(store, place)) {
      const waiting = needed.get(path) ?? [];
      const rest = waiting.filter((version) => compareVersions(version, kept.version) >= 0);
      if (rest.length < waiting.length) {
        // It is what those older versions had: they look no further.
        needed.set(path, rest);
        continue;
      }
      signal.throwIfAborted();
      await deleteFile(rc, `${dstFs}${place}`, path, signal);
      removedObjects += 1;
    }
  }
  const unwanted = versions.filter((version) => !wanted.has(formatVersion(version)));
  for (const version of unwanted) {
    await deleteFile(rc, `${dstFs}${manifestsDirectory}`, manifestFile(version), signal);
  }
  await removeEmptyDirectories(store);
  return { removedObjects, removedVersions: unwanted.length };
}

/** Where directories are things of their own; failing at it loses nothing. */
async function removeEmptyDirectories({ rc, dstFs, signal }: VersionStore): Promise<void> {
  await Promise.allSettled([
    rc.call('operations/rmdirs', { fs: `${dstFs}${versionsDirectory}`, remote: '', leaveRoot: true }, signal),
  ]);
}
