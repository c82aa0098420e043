import { XVaultError } from '@xvault/shared/errors.ts';
import { fetchManifest } from './history.ts';
import {
  compareKept,
  compareVersions,
  currentDirectory,
  formatVersion,
  type Kept,
  keptDirectory,
  parseKept,
  type Version,
  versionsDirectory,
} from './layout.ts';
import { type ListedObject, listBelow } from './listing.ts';
import type { Manifest, ManifestEntry } from './manifest.ts';
import type { RcClient } from './rclone/rc-client.ts';

/** Where a sync job's versions are. */
export interface VersionStore {
  readonly rc: RcClient;
  /** Ends in a colon or slash. */
  readonly dstFs: string;
  readonly directory: string;
  /** A listing tells hashes without reading what it lists. */
  readonly listsHashes?: boolean;
  readonly signal: AbortSignal;
}

/** Objects of a version that lie in one place. */
export interface PlacedObjects {
  /** Below the job's prefix: `current` or `versions/…`. */
  readonly place: string;
  readonly entries: readonly ManifestEntry[];
}

export interface ResolvedVersion {
  readonly manifest: Manifest;
  readonly places: readonly PlacedObjects[];
}

/**
 * Finds every object of a version: what a later attempt replaced or removed first is what the version had; what none did is
 * still in `current/`. Throws SYNC_VERSION_BROKEN when an object is not there or has another size.
 */
export async function resolveVersion(store: VersionStore, version: Version): Promise<ResolvedVersion> {
  const { rc, dstFs, directory, signal } = store;
  const manifest = await fetchManifest(rc, dstFs, version, directory, signal);
  if (manifest === null) throw broken(`there is no manifest of version ${formatVersion(version)}`);
  const open = new Map(manifest.entries);
  const places: PlacedObjects[] = [];
  // Before what was kept: an object that is moved away between the two listings is then in both, and not in neither.
  const current = await listPlace(store, currentDirectory);
  for (const kept of await laterKept(store, version)) {
    if (open.size === 0) break;
    takeFrom(`${versionsDirectory}/${keptDirectory(kept)}`, await listPlace(store, keptPlace(kept)), open, places);
  }
  if (open.size > 0) takeFrom(currentDirectory, current, open, places);
  const [missing] = open.keys();
  if (missing !== undefined) throw broken(`${open.size} objects are not there, the first is ${missing}`);
  return { manifest, places };
}

/** What attempts after the version kept, oldest first. */
export async function laterKept(store: VersionStore, version: Version): Promise<Kept[]> {
  return (await listKept(store)).filter((kept) => compareVersions(kept.version, version) > 0);
}

/** Oldest first. */
export async function listKept({ rc, dstFs, signal }: VersionStore): Promise<Kept[]> {
  const request = { recursive: false, filesOnly: false, withMtime: false, withHashes: false };
  const list = await listBelow(rc, { fs: dstFs, remote: versionsDirectory, ...request }, signal);
  return list
    .map(({ path }) => parseKept(path))
    .filter((kept) => kept !== undefined)
    .sort(compareKept);
}

export function keptPlace(kept: Kept): string {
  return `${versionsDirectory}/${keptDirectory(kept)}`;
}

export function listPlace(store: VersionStore, place: string, withHashes = false): Promise<ListedObject[]> {
  const { rc, dstFs, signal } = store;
  const request = { recursive: true, filesOnly: true, withMtime: false, withHashes };
  return listBelow(rc, { fs: dstFs, remote: place, ...request }, signal);
}

function takeFrom(
  place: string,
  objects: readonly ListedObject[],
  open: Map<string, ManifestEntry>,
  places: PlacedObjects[],
): void {
  const entries: ManifestEntry[] = [];
  for (const { path, sizeBytes } of objects) {
    const entry = open.get(path);
    if (entry === undefined) continue;
    if (entry.size >= 0 && sizeBytes >= 0 && entry.size !== sizeBytes) {
      throw broken(`${path} has ${sizeBytes} bytes and had ${entry.size}`);
    }
    open.delete(path);
    entries.push(entry);
  }
  if (entries.length > 0) places.push({ place, entries });
}

function broken(detail: string): XVaultError {
  return new XVaultError('SYNC_VERSION_BROKEN', { detail });
}
