import { isId, parseSnapshotDirectory } from './local-fs-paths.ts';
import type { S3Objects } from './s3-objects.ts';
import { type SnapshotPlace, type StoredItem, snapshotFiles } from './storage.ts';

/**
 * All snapshots and parts below a key prefix; what does not look like ours is passed over. Files of which no attempt is known
 * and that were never published, or are no longer, are part 0: an interrupted deletion left them.
 */
export async function* listS3Items(objects: S3Objects, keyPrefix: string): AsyncGenerator<StoredItem> {
  let current: Group | null = null;
  for await (const { key } of objects.list(keyPrefix)) {
    const found = parseKey(key);
    if (found === null) continue;
    const name = `${found.place.tenantId}/${found.place.sourceId}/${found.place.snapshotId}`;
    // A snapshot's marker and files follow each other: nothing sorts between `<id>.` and `<id>/` but its own.
    if (current?.name !== name) {
      if (current !== null) yield* current.items();
      current = new Group(name, found.place);
    }
    current.add(found);
  }
  if (current !== null) yield* current.items();
}

type Found = { readonly place: SnapshotPlace } & ({ readonly epoch: number } | { readonly file: string });

class Group {
  readonly name: string;
  readonly #place: SnapshotPlace;
  readonly #epochs: number[] = [];
  #hasFiles = false;
  #published = false;

  constructor(name: string, place: SnapshotPlace) {
    this.name = name;
    this.#place = place;
  }

  add(found: Found): void {
    if ('epoch' in found) this.#epochs.push(found.epoch);
    else this.#hasFiles = true;
    if ('file' in found && found.file === snapshotFiles.meta) this.#published = true;
  }

  *items(): Generator<StoredItem> {
    if (this.#published) yield { place: this.#place, epoch: null };
    else if (this.#hasFiles && this.#epochs.length === 0) yield { place: this.#place, epoch: 0 };
    for (const epoch of this.#epochs) yield { place: this.#place, epoch };
  }
}

const shape = /^tenants\/([^/]+)\/sources\/([^/]+)\/snapshots\/([^/]+)(?:\/([^/]+))?$/;
const fileNames: readonly string[] = Object.values(snapshotFiles);

function parseKey(key: string): Found | null {
  const [, tenantId, sourceId, name, file] = shape.exec(key) ?? [];
  if (tenantId === undefined || sourceId === undefined || name === undefined) return null;
  if (!isId(tenantId) || !isId(sourceId)) return null;
  if (file !== undefined) {
    if (!isId(name) || !fileNames.includes(file)) return null;
    return { place: { tenantId, sourceId, snapshotId: name }, file };
  }
  const part = parseSnapshotDirectory(name);
  if (part === null || part.epoch === null) return null;
  return { place: { tenantId, sourceId, snapshotId: part.snapshotId }, epoch: part.epoch };
}
