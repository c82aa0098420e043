import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isId, parseSnapshotDirectory } from './local-fs-paths.ts';
import { errnoOf, storageError } from './local-fs-sync.ts';
import type { StoredItem } from './storage.ts';

/** All snapshots and parts below a root; what does not look like ours is passed over. */
export async function* listLocalItems(root: string): AsyncGenerator<StoredItem> {
  const tenants = join(root, 'tenants');
  for (const tenantId of await idsIn(tenants)) {
    const sources = join(tenants, tenantId, 'sources');
    for (const sourceId of await idsIn(sources)) {
      for (const name of await directoriesIn(join(sources, sourceId, 'snapshots'))) {
        const found = parseSnapshotDirectory(name);
        if (found) yield { place: { tenantId, sourceId, snapshotId: found.snapshotId }, epoch: found.epoch };
      }
    }
  }
}

async function idsIn(path: string): Promise<string[]> {
  return (await directoriesIn(path)).filter(isId);
}

async function directoriesIn(path: string): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (cause) {
    // Not there yet, a stranger, or removed since its parent was read.
    if (errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR') return [];
    throw storageError(cause, `cannot list ${path}`);
  }
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}
