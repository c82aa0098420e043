import {
  type EntryFilter,
  isSkipped,
  type ListOptions,
  type Measure,
  type SkippedItem,
  type SourceEntry,
  type SourceSession,
} from '../../connectors/connector.ts';
import { createFilter } from '../../connectors/filter/filter.ts';
import { sessionWith } from './session-with.ts';

export interface FilterOptions {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Larger files are left out; null for no limit. */
  readonly maxFileBytes: number | null;
  readonly followSymlinks: boolean;
  /** On the worker's own disks: where symlinks may lead besides the source. */
  readonly followRoots?: readonly string[];
}

/** Files that were larger than the limit. */
export interface LeftOut {
  files: number;
  bytes: number;
}

interface Filtered {
  readonly session: SourceSession;
  /** Grows while the session is listed. */
  readonly leftOut: Readonly<LeftOut>;
}

/** A session that lists, and counts, only what the options take. Pruned directories are not listed where the source can. */
export function filteredSession(session: SourceSession, options: FilterOptions): Filtered {
  const leftOut: LeftOut = { files: 0, bytes: 0 };
  const { include, exclude, maxFileBytes, followSymlinks, followRoots = [] } = options;
  const filter = include.length + exclude.length > 0 ? createFilter({ include, exclude }) : undefined;
  const asked = (listing: ListOptions): ListOptions => ({
    ...listing,
    ...(followSymlinks && { followSymlinks, followRoots }),
    ...(filter && { filter }),
  });
  if (filter === undefined && maxFileBytes === null) {
    if (!followSymlinks) return { session, leftOut };
    const list = (listing: ListOptions) => session.list(asked(listing));
    return { session: sessionWith(session, { list, measure: (listing) => session.measure(asked(listing)) }), leftOut };
  }
  const taken = (listing: ListOptions, count: LeftOut) =>
    withinLimit(withParents(session.list(asked(listing)), filter), maxFileBytes, count);
  return {
    leftOut,
    session: sessionWith(session, {
      list: (listing) => taken(listing, leftOut),
      measure: (listing) => countFiles(taken(listing, { files: 0, bytes: 0 })),
    }),
  };
}

type Item = SourceEntry | SkippedItem;

/** What the filter takes; directories that it does not take come only when something below them is taken. */
async function* withParents(items: AsyncIterable<Item>, filter: EntryFilter | undefined): AsyncGenerator<Item> {
  if (filter === undefined) return yield* items;
  let held: SourceEntry[] = [];
  for await (const item of items) {
    const isDirectory = !isSkipped(item) && item.type === 'directory';
    while (held.length > 0 && !isBelow(item.path, held.at(-1)?.path)) held.pop();
    const verdict = filter.judge(item.path, isDirectory);
    if (verdict === 'take' || (isSkipped(item) && mayHide(item, filter))) {
      yield* held;
      held = [];
      yield item;
    } else if (verdict === 'skip' && isDirectory) {
      held.push(item);
    }
  }
}

/** A directory that could not be read may hold what is wanted: that must be said. */
function mayHide({ skipped, path }: SkippedItem, filter: EntryFilter): boolean {
  return skipped === 'ITEM_UNREADABLE' && filter.judge(path, true) !== 'prune';
}

function isBelow(path: Buffer, directory: Buffer | undefined): boolean {
  if (directory === undefined || path.length < directory.length) return false;
  if (path.compare(directory, 0, directory.length, 0, directory.length) !== 0) return false;
  return path.length === directory.length || path[directory.length] === 0x2f;
}

async function* withinLimit(items: AsyncIterable<Item>, maxFileBytes: number | null, count: LeftOut) {
  for await (const item of items) {
    if (maxFileBytes !== null && !isSkipped(item) && item.type === 'file' && item.sizeBytes > maxFileBytes) {
      count.files += 1;
      count.bytes += item.sizeBytes;
    } else {
      yield item;
    }
  }
}

async function countFiles(items: AsyncIterable<Item>): Promise<Measure> {
  const counted = new Set<string>();
  let fileCount = 0;
  let totalBytes = 0;
  for await (const item of items) {
    if (isSkipped(item) || item.type !== 'file') continue;
    fileCount += 1;
    // Further names of one file bring no bytes.
    if (item.hardLinkKey !== undefined && counted.has(item.hardLinkKey)) continue;
    if (item.hardLinkKey !== undefined) counted.add(item.hardLinkKey);
    totalBytes += item.sizeBytes;
  }
  return { fileCount, totalBytes };
}
