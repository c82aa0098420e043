import { createHash } from 'node:crypto';
import type { SyncMode } from '@xvault/shared/sync-options.ts';
import type { History } from './history.ts';
import { compareVersions, currentDirectory, type Version } from './layout.ts';
import type { ListedObject } from './listing.ts';
import type { Manifest, ManifestEntry } from './manifest.ts';
import { readObject } from './read-object.ts';
import { keptPlace, listKept, listPlace, type VersionStore } from './resolve.ts';
import { isBelowAny, type SourceListing } from './source-listing.ts';

const readersInFlight = 4;

/** Where hashes of a version's objects come from: the destination's listing, reading what is new back once, or nowhere. */
export type HashOrigin = 'listed' | 'read' | 'none';

export interface StateRequest {
  readonly store: VersionStore;
  readonly mode: SyncMode;
  /** Of `current/`. */
  readonly list: readonly ListedObject[];
  readonly previous: Manifest | null;
  readonly newest: Version | null;
  readonly history: History;
  readonly source: SourceListing;
  /** Items that this run did not bring over. */
  readonly failures: ReadonlyMap<string, string>;
  readonly hashes: HashOrigin;
  /** Whether this run wrote it, or may have. */
  readonly wasCopied: (path: string) => boolean;
  /** Whether rclone said that this run brought it over, whole. */
  readonly isBrought: (path: string) => boolean;
}

export interface State {
  readonly entries: ReadonlyMap<string, ManifestEntry>;
  /** Of the source, and not in the version in the source's state. */
  readonly missing: readonly string[];
}

/**
 * What the version holds: of `current/` what this run found equal to the source or brought over, and what it could not look at but
 * is as the previous version had it. What an attempt that was cut short may have left there is neither, and so is in no version.
 */
export async function stateNow(request: StateRequest): Promise<State> {
  const { list, source, failures, mode } = request;
  const touched = await touchedSince(request, list);
  const entries = new Map<string, ManifestEntry>();
  const missing = new Set(failures.keys());
  for (const item of list) {
    const { path, sizeBytes: size, hashes } = item;
    const wanted = source.objects.get(path);
    // What grows all the time has another size by now than when it was brought over, whole as it was then.
    const isAsSource = wanted !== undefined && (isSameSize(wanted.sizeBytes, size) || request.isBrought(path));
    if (isAsSource && !failures.has(path)) {
      entries.set(path, { path, size, mtime: wanted.mtime, hashes });
      continue;
    }
    const isKnown = wanted !== undefined || mode === 'copy' || isBelowAny(path, source.unreadable);
    const before = request.previous?.entries.get(path);
    if (isKnown && before?.size === size && !touched.has(path)) entries.set(path, before);
    if (wanted !== undefined) missing.add(path);
  }
  for (const path of source.objects.keys()) if (!entries.has(path)) missing.add(path);
  return { entries: request.hashes === 'read' ? await withHashes(request, entries) : entries, missing: [...missing] };
}

function isSameSize(source: number, destination: number): boolean {
  return source < 0 || destination < 0 || source === destination;
}

/** Whether the version that is there says it all: nothing was done, and nothing is other than it says. */
export function isAsBefore(previous: Manifest, mode: SyncMode, source: SourceListing, history: History): boolean {
  if (source.unreadable.size > 0 || history.unfinished.length > 0) return false;
  const { entries } = previous;
  if (mode === 'copy' ? entries.size < source.objects.size : entries.size !== source.objects.size) return false;
  for (const [path, { sizeBytes, mtime }] of source.objects) {
    const entry = entries.get(path);
    if (entry === undefined || !isSameSize(sizeBytes, entry.size) || mtime !== entry.mtime) return false;
  }
  return true;
}

/** Whether every object has the size and a hash that the version has, and none is more or less. */
export function isAsVersionSays({ entries }: Manifest, list: readonly ListedObject[]): boolean {
  return (
    list.length === entries.size &&
    list.every(({ path, sizeBytes, hashes }) => {
      const entry = entries.get(path);
      return entry?.size === sizeBytes && sharesHash(entry.hashes, hashes);
    })
  );
}

function sharesHash(a: ManifestEntry['hashes'], b: ManifestEntry['hashes']): boolean {
  const both = Object.entries(a ?? {}).filter(([name]) => b?.[name] !== undefined);
  return both.length > 0 && both.every(([name, hash]) => b?.[name] === hash);
}

/** Paths that attempts since the previous version have replaced: what is in `current/` now is not that version's. */
async function touchedSince(request: StateRequest, list: readonly ListedObject[]): Promise<ReadonlySet<string>> {
  const { source, failures, store, newest, mode } = request;
  const touched = new Set<string>();
  const isAsked = list.some(({ path, sizeBytes }) => {
    const wanted = source.objects.get(path);
    return wanted === undefined || failures.has(path) || !isSameSize(wanted.sizeBytes, sizeBytes);
  });
  if (!isAsked || newest === null || mode === 'mirror') return touched;
  for (const kept of await listKept(store)) {
    if (compareVersions(kept.version, newest) <= 0) continue;
    for (const { path } of await listPlace(store, keptPlace(kept))) touched.add(path);
  }
  return touched;
}

/** Hashes known for objects that were not written since come from the previous version; others are read once. */
async function withHashes(
  request: StateRequest,
  entries: ReadonlyMap<string, ManifestEntry>,
): Promise<Map<string, ManifestEntry>> {
  const done = new Map<string, ManifestEntry>();
  const waiting = entries.values();
  const reader = async () => {
    for (const entry of waiting) {
      const known = entry.hashes ?? knownHashes(request, entry);
      done.set(entry.path, { ...entry, hashes: known ?? { md5: await md5Of(request.store, entry.path) } });
    }
  };
  await Promise.all(Array.from({ length: readersInFlight }, reader));
  return done;
}

function knownHashes(request: StateRequest, entry: ManifestEntry): ManifestEntry['hashes'] {
  const before = request.previous?.entries.get(entry.path);
  if (before === undefined || before.size !== entry.size || before.mtime !== entry.mtime) return null;
  if (request.wasCopied(entry.path)) return null;
  // Without times an attempt that was cut short may have written it.
  if (entry.mtime === null && request.history.unfinished.length > 0) return null;
  return before.hashes;
}

async function md5Of(store: VersionStore, path: string): Promise<string> {
  const md5 = createHash('md5');
  for await (const chunk of readObject(store, currentDirectory, path)) md5.update(chunk);
  return md5.digest('hex');
}
