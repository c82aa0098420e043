import type { Manifest, ManifestEntry } from './manifest.ts';
import { isBelowAny, type SourceListing } from './source-listing.ts';
import type { Transferred } from './transfer.ts';

/** What a run did, as its customer sees the source; a move within a bucket, which is a copy and a delete, is none of it. */
export interface Figures {
  /** Objects brought over from the source. */
  readonly transfers: number;
  /** Of those objects. */
  readonly bytes: number;
  /** Objects that the version before held and that the source has no more. */
  readonly deletes: number;
}

export interface FiguresRequest {
  readonly previous: Manifest | null;
  /** Of this version. */
  readonly entries: ReadonlyMap<string, ManifestEntry>;
  readonly source: SourceListing;
  /** Paths that rclone said it brought over; null where they are too many to be remembered. */
  readonly brought: ReadonlySet<string> | null;
  /** rclone's own figures, which also count what is moved away to be kept. */
  readonly done: Pick<Transferred, 'transfers' | 'bytes'>;
}

export function figuresOf({ previous, entries, source, brought, done }: FiguresRequest): Figures {
  const deletes = countGone(previous, entries, source);
  if (brought === null) return { transfers: done.transfers, bytes: done.bytes, deletes };
  let [transfers, bytes] = [0, 0];
  for (const path of brought) {
    const entry = entries.get(path);
    if (entry === undefined) continue;
    transfers += 1;
    bytes += Math.max(0, entry.size);
  }
  return { transfers, bytes, deletes };
}

function countGone(
  previous: Manifest | null,
  entries: ReadonlyMap<string, ManifestEntry>,
  { objects, unreadable }: SourceListing,
): number {
  let count = 0;
  for (const path of previous?.entries.keys() ?? []) {
    if (!entries.has(path) && !objects.has(path) && !isBelowAny(path, unreadable)) count += 1;
  }
  return count;
}
