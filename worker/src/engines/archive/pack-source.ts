import {
  isSkipped,
  type ListOptions,
  type SkippedItem,
  type SourceEntry,
  type SourceSession,
} from '../../connectors/connector.ts';
import type { Packer } from './backup-pack.ts';
import { BoundedQueue } from './backup-queue.ts';
import { BatchItems, mostItems } from './batch-items.ts';
import { BegunFile } from './begun-file.ts';
import { LinkNames } from './link-names.ts';
import type { PackedBatch } from './pack-batch.ts';

/** Something listed, in order: what cannot be stored, a large file that is begun, or many small items in one frame. */
export type PackItem =
  | { readonly kind: 'skipped'; readonly skipped: SkippedItem }
  | { readonly kind: 'entry'; readonly entry: SourceEntry; readonly begun: BegunFile }
  | { readonly kind: 'packed'; readonly batch: BatchItems; readonly packed: PackedBatch };

/** A batch is closed when it has so much: then its frame is of the usual size. */
const fullBytes = 4 * 1024 * 1024;
/** A name and a reason. */
const skippedWeight = 1 / 16;
/** About what a member takes besides its content: headers, a long name, the rest of a block. */
const headerBytes = 1536;

type Outcome = { readonly packed: PackedBatch } | { readonly error: unknown };
type Waiting = PackItem | { readonly kind: 'packing'; readonly batch: BatchItems; readonly outcome: Promise<Outcome> };

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
  /** Of batches that are stored; their memory is used again. */
  const spare: BatchItems[] = [];
  const listing = listInto({ queue, session, packer, spare }, { ...options, signal });
  try {
    for await (const item of queue) {
      signal.throwIfAborted();
      yield item.kind === 'packing' ? await settled(item) : item;
      // Asked for the next one, the consumer is done with this one.
      if (item.kind === 'packing') spare.push(item.batch);
      if (item.kind === 'entry') await item.begun.close();
    }
    signal.throwIfAborted();
  } finally {
    stop.abort();
    queue.close();
    await listing;
    // The one that the consumer gave up at is among them.
    for (const item of queue.drain()) if (item.kind === 'entry') await item.begun.close();
  }
}

async function settled({ batch, outcome }: Extract<Waiting, { kind: 'packing' }>): Promise<PackItem> {
  const result = await outcome;
  if ('error' in result) throw result.error;
  return { kind: 'packed', batch, packed: result.packed };
}

interface Listing {
  readonly queue: BoundedQueue<Waiting>;
  readonly session: SourceSession;
  readonly packer: Packer;
  readonly spare: BatchItems[];
}

/** Never rejects: what goes wrong is thrown to the queue's consumer. */
async function listInto({ queue, session, packer, spare }: Listing, options: ListOptions) {
  const firstNames = new LinkNames();
  const file = { session, packer, signal: options.signal };
  let batch = new BatchItems();
  let bytes = 0;
  const flush = async () => {
    if (batch.count === 0) return;
    const full = batch;
    // Room first, so that no more than the queue holds is being read.
    await queue.push(() => startPacking(full, firstNames, packer));
    batch = spare.pop() ?? new BatchItems();
    batch.clear();
    bytes = 0;
  };
  try {
    for await (const item of session.list(options)) {
      if (queue.closed) return;
      const isLater = !isSkipped(item) && item.hardLinkKey !== undefined && firstNames.has(item.hardLinkKey);
      const isAlone = isSkipped(item) || (item.type === 'file' && !isLater && item.sizeBytes > session.smallFileBytes);
      if (!isAlone) {
        batch.add(item, firstNames);
        bytes += headerBytes + item.path.length + (item.type === 'file' && !isLater ? item.sizeBytes : 0);
        if (bytes >= fullBytes || batch.count >= mostItems) await flush();
        continue;
      }
      await flush();
      if (!isSkipped(item) && item.hardLinkKey !== undefined) firstNames.set(item.hardLinkKey, item.path);
      if (isSkipped(item)) await queue.push(() => ({ kind: 'skipped', skipped: item }), skippedWeight);
      else await queue.push(() => ({ kind: 'entry', entry: item, begun: new BegunFile(item, file) }));
    }
    await flush();
    queue.close();
  } catch (error) {
    queue.fail(error);
  } finally {
    firstNames.close();
  }
}

function startPacking(batch: BatchItems, firstNames: LinkNames, packer: Packer): Waiting {
  // Taken for granted until the batches before it are stored; what turns out otherwise is packed again.
  for (const { at, key, firstName } of batch.linked) {
    if (firstName === undefined) firstNames.set(key, batch.at(at).path);
  }
  // As a value, for nobody may be waiting when it fails.
  const outcome = packer.pack(batch, 0).then(
    (packed) => ({ packed }),
    (error: unknown) => ({ error }),
  );
  return { kind: 'packing', batch, outcome };
}
