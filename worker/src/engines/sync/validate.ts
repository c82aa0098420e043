import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { Version } from './layout.ts';
import type { ListedObject } from './listing.ts';
import type { ManifestEntry } from './manifest.ts';
import { readObject } from './read-object.ts';
import { listPlace, type PlacedObjects, resolveVersion, type VersionStore } from './resolve.ts';

const differingNamed = 100;

export interface SyncValidation {
  readonly objectsChecked: number;
  readonly bytesChecked: number;
  readonly differing: readonly string[];
}

/**
 * `quick`: every object of the version is there with its size, and its hash where listing tells it. `full`: every byte is read, by which
 * crypt proves it untouched; where the manifest has a hash that a reading can be compared with, it is. Throws SYNC_VERSION_BROKEN when
 * objects are missing, and STORAGE_… when the destination stops answering: then nothing is known.
 */
export async function validateVersion(
  store: VersionStore,
  version: Version,
  level: 'quick' | 'full',
  onObject: (done: { readonly objects: number; readonly bytes: number }) => void,
): Promise<SyncValidation> {
  const { places } = await resolveVersion(store, version);
  const differing: string[] = [];
  let objectsChecked = 0;
  let bytesChecked = 0;
  for (const place of places) {
    const bad = new Set(level === 'full' ? await readAll(store, place) : await compareListed(store, place));
    for (const { path, size } of place.entries) {
      objectsChecked += 1;
      bytesChecked += Math.max(0, size);
      if (bad.has(path) && differing.length < differingNamed) differing.push(path);
    }
    onObject({ objects: objectsChecked, bytes: bytesChecked });
  }
  return { objectsChecked, bytesChecked, differing };
}

async function compareListed(store: VersionStore, { place, entries }: PlacedObjects): Promise<string[]> {
  const list = await listPlace(store, place, store.listsHashes ?? false);
  const listed = new Map(list.map((item) => [item.path, item]));
  return entries.filter((entry) => differs(entry, listed.get(entry.path))).map(({ path }) => path);
}

function differs({ size, hashes }: ManifestEntry, found: ListedObject | undefined): boolean {
  if (found === undefined || (size >= 0 && found.sizeBytes >= 0 && size !== found.sizeBytes)) return true;
  const known = Object.entries(hashes ?? {});
  return known.some(([kind, hash]) => hash !== '' && (found.hashes?.[kind] ?? hash) !== hash);
}

const readersInFlight = 8;

/** Reads each object whole; what ends early, is refused by its cipher, or hashes to something else is named. */
async function readAll(store: VersionStore, { place, entries }: PlacedObjects): Promise<string[]> {
  const bad: string[] = [];
  const waiting = entries.values();
  const reader = async () => {
    for (const entry of waiting) if (!(await isWhole(store, place, entry))) bad.push(entry.path);
  };
  await Promise.all(Array.from({ length: readersInFlight }, reader));
  return bad;
}

async function isWhole(store: VersionStore, place: string, { path, size, hashes }: ManifestEntry): Promise<boolean> {
  const md5 = createHash('md5');
  let bytes = 0;
  try {
    for await (const chunk of readObject(store, place, path)) {
      md5.update(chunk);
      bytes += chunk.length;
    }
  } catch (error) {
    // An object that cannot be read to its end is what is looked for.
    if (error instanceof XVaultError && error.code === 'SYNC_VERSION_BROKEN') return false;
    throw error;
  }
  const { md5: known = '' } = hashes ?? {};
  return (size < 0 || bytes === size) && (known === '' || known === md5.digest('hex'));
}
