import {
  isSkipped,
  type ListOptions,
  type ReadResult,
  type SkippedItem,
  type SourceEntry,
  type SourceSession,
} from '../../connectors/connector.ts';
import { BoundedQueue } from './backup-queue.ts';
import { LinkNames } from './link-names.ts';

/** Something listed, in order. A small file comes with its content, or with the reason why there is none. */
export type SourceItem =
  | { readonly kind: 'skipped'; readonly skipped: SkippedItem }
  | { readonly kind: 'small'; readonly entry: SourceEntry; readonly result: ReadResult }
  /** Directories, symlinks, large files, and further names of a file that was listed before. */
  | { readonly kind: 'entry'; readonly entry: SourceEntry };

const maxBatchFiles = 64;
const maxBatchBytes = 1024 * 1024;
/** Directories and the like weigh little, but are not for nothing. */
const maxBatchItems = 256;

type Outcome = { readonly results: readonly ReadResult[] } | { readonly error: unknown };
interface Batch {
  readonly items: (SourceEntry | SkippedItem)[];
  /** Positions in `items` of the files that are read together. */
  readonly reads: Set<number>;
  bytes: number;
}
interface ReadingBatch {
  readonly items: readonly (SourceEntry | SkippedItem)[];
  readonly reads: ReadonlySet<number>;
  readonly outcome: Promise<Outcome>;
}

/**
 * Lists a source and reads its small files ahead, `batchesInFlight` batches at once; yields a batch's items in the
 * order of the list. Listing, reading and the consumer's own work go on side by side.
 */
export async function* readSource(
  session: SourceSession,
  options: ListOptions,
): AsyncGenerator<SourceItem[], void, void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const queue = new BoundedQueue<ReadingBatch>(Math.max(session.batchesInFlight, 1));
  const listing = listInto(queue, session, { ...options, signal });
  try {
    for await (const batch of queue) {
      signal.throwIfAborted();
      const outcome = await batch.outcome;
      yield settledItems(batch, outcome);
      // Asked for the next batch, the consumer is done with this one.
      if ('results' in outcome) session.recycle?.(outcome.results);
    }
    signal.throwIfAborted();
  } finally {
    stop.abort();
    queue.close();
    await listing;
  }
}

/** Never rejects: what goes wrong is thrown to the queue's consumer. */
async function listInto(queue: BoundedQueue<ReadingBatch>, session: SourceSession, options: ListOptions) {
  const seenLinks = new LinkNames();
  let batch: Batch = { items: [], reads: new Set(), bytes: 0 };
  const flush = async () => {
    const full = batch;
    batch = { items: [], reads: new Set(), bytes: 0 };
    // Room first, so that no more than the queue holds is being read.
    if (full.items.length > 0) await queue.push(() => startReading(full, session, options.signal));
  };
  try {
    for await (const item of session.list(options)) {
      if (queue.closed) return;
      const isLarge = !isSkipped(item) && item.type === 'file' && item.sizeBytes > session.smallFileBytes;
      if (!isSkipped(item) && item.type === 'file' && !isLarge && isFirstName(item, seenLinks)) {
        if (batch.bytes > 0 && batch.bytes + item.sizeBytes > maxBatchBytes) await flush();
        batch.reads.add(batch.items.length);
        batch.bytes += item.sizeBytes;
      }
      batch.items.push(item);
      if (isLarge || batch.reads.size >= maxBatchFiles || batch.items.length >= maxBatchItems) await flush();
    }
    await flush();
    queue.close();
  } catch (error) {
    queue.fail(error);
  } finally {
    seenLinks.close();
  }
}

/** Later names of a file are not read: they become hard links, or are read by the consumer if the first could not be. */
function isFirstName(entry: SourceEntry, seenLinks: LinkNames): boolean {
  if (entry.hardLinkKey === undefined) return true;
  if (seenLinks.has(entry.hardLinkKey)) return false;
  seenLinks.set(entry.hardLinkKey, entry.path);
  return true;
}

function startReading(batch: Batch, session: SourceSession, signal: AbortSignal): ReadingBatch {
  const entries = batch.items.filter((item, at): item is SourceEntry => batch.reads.has(at) && !isSkipped(item));
  const reading = entries.length === 0 ? Promise.resolve([]) : session.readMany(entries, signal);
  // As a value, for nobody may be waiting when it fails.
  const outcome = reading.then(
    (results) => ({ results }),
    (error: unknown) => ({ error }),
  );
  return { items: batch.items, reads: batch.reads, outcome };
}

function settledItems(batch: ReadingBatch, outcome: Outcome): SourceItem[] {
  if ('error' in outcome) throw outcome.error;
  if (outcome.results.length !== batch.reads.size) throw new Error('a source returned too few results');
  const results = outcome.results.values();
  return batch.items.map((item, at): SourceItem => {
    if (isSkipped(item)) return { kind: 'skipped', skipped: item };
    if (!batch.reads.has(at)) return { kind: 'entry', entry: item };
    const next = results.next();
    if (next.done === true) throw new Error('a source returned too few results');
    return { kind: 'small', entry: item, result: next.value };
  });
}
