import {
  isSkipped,
  type ListOptions,
  type SkippedItem,
  type SourceEntry,
  type SourceSession,
} from '../../connectors/connector.ts';
import type { Packer } from './backup-pack.ts';
import { BoundedQueue } from './backup-queue.ts';
import { makeBatch, type PackBatch, type PackedBatch } from './pack-batch.ts';

/** Something listed, in order: what cannot be stored, a large file, or many small items in one frame. */
export type PackItem =
  | { readonly kind: 'skipped'; readonly skipped: SkippedItem }
  | { readonly kind: 'entry'; readonly entry: SourceEntry }
  | { readonly kind: 'packed'; readonly batch: PackBatch; readonly packed: PackedBatch };

/** A batch is closed when it has so much: then its frame is of the usual size. */
const fullBytes = 4 * 1024 * 1024;
const fullEntries = 2048;
/** About what a member takes besides its content: headers, a long name, the rest of a block. */
const headerBytes = 1536;

type Outcome = { readonly packed: PackedBatch } | { readonly error: unknown };
type Waiting = PackItem | { readonly kind: 'packing'; readonly batch: PackBatch; readonly outcome: Promise<Outcome> };

/**
 * Lists a source that makes frames by itself, and has it make some ahead of the consumer, `batchesInFlight` at once. Yields
 * in the order of the list. `stop` ends it: the packer must use the same signal.
 */
export async function* packSource(
  session: SourceSession,
  packer: Packer,
  options: ListOptions,
): AsyncGenerator<PackItem, void, void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const queue = new BoundedQueue<Waiting>(Math.max(session.batchesInFlight, 1));
  const listing = listInto(queue, session, packer, { ...options, signal });
  try {
    for await (const item of queue) {
      signal.throwIfAborted();
      yield item.kind === 'packing' ? await settled(item) : item;
    }
    signal.throwIfAborted();
  } finally {
    stop.abort();
    queue.close();
    await listing;
  }
}

async function settled({ batch, outcome }: Extract<Waiting, { kind: 'packing' }>): Promise<PackItem> {
  const result = await outcome;
  if ('error' in result) throw result.error;
  return { kind: 'packed', batch, packed: result.packed };
}

/** Never rejects: what goes wrong is thrown to the queue's consumer. */
async function listInto(queue: BoundedQueue<Waiting>, session: SourceSession, packer: Packer, options: ListOptions) {
  const firstNames = new Map<string, Buffer>();
  let entries: SourceEntry[] = [];
  let bytes = 0;
  const flush = async () => {
    const full = entries;
    entries = [];
    bytes = 0;
    // Room first, so that no more than the queue holds is being read.
    if (full.length > 0) await queue.push(() => startPacking(full, firstNames, packer));
  };
  try {
    for await (const item of session.list(options)) {
      if (queue.closed) return;
      const isLater = !isSkipped(item) && item.hardLinkKey !== undefined && firstNames.has(item.hardLinkKey);
      const isAlone = isSkipped(item) || (item.type === 'file' && !isLater && item.sizeBytes > session.smallFileBytes);
      if (!isAlone) {
        entries.push(item);
        bytes += headerBytes + item.path.length + (item.type === 'file' && !isLater ? item.sizeBytes : 0);
        if (bytes >= fullBytes || entries.length >= fullEntries) await flush();
        continue;
      }
      await flush();
      if (!isSkipped(item) && item.hardLinkKey !== undefined) firstNames.set(item.hardLinkKey, item.path);
      await queue.push(() => (isSkipped(item) ? { kind: 'skipped', skipped: item } : { kind: 'entry', entry: item }));
    }
    await flush();
    queue.close();
  } catch (error) {
    queue.fail(error);
  }
}

function startPacking(entries: readonly SourceEntry[], firstNames: Map<string, Buffer>, packer: Packer): Waiting {
  // Taken for granted until the batches before it are stored; what turns out otherwise is packed again.
  const batch = makeBatch(entries, firstNames);
  for (const { at, key, firstName } of batch.linked) {
    const path = entries[at]?.path;
    if (firstName === undefined && path !== undefined) firstNames.set(key, path);
  }
  // As a value, for nobody may be waiting when it fails.
  const outcome = packer.pack(batch, 0).then(
    (packed) => ({ packed }),
    (error: unknown) => ({ error }),
  );
  return { kind: 'packing', batch, outcome };
}
