import { setTimeout as sleep } from 'node:timers/promises';
import { isDatabaseAway } from '../db/unavailable.ts';

/** What became of one item. */
export type Outcome<T> = { readonly value: T } | { readonly error: unknown };

export interface BatcherOptions<Item, Value> {
  /** Does all items at once, outcomes in their order. When it rejects, each item is done again alone, so it must have done nothing. */
  readonly carryOut: (items: readonly Item[]) => Promise<readonly Outcome<Value>[]>;
  /** Items of the same key are never in one batch. */
  readonly keyOf?: (item: Item) => string;
  readonly maxItems?: number;
}

interface Waiting<Item, Value> {
  readonly item: Item;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

const defaultMaxItems = 100;
/** After a batch of several: under load few large batches cost far less than many small ones. */
const gatherMs = 4;

/**
 * Gathers what is asked while an earlier batch is under way and does it as one; an item that comes when nothing is under way is
 * done at once, unless several were asked for a moment ago. No item is done by a batch that began before the item came.
 */
export function createBatcher<Item, Value>(options: BatcherOptions<Item, Value>): (item: Item) => Promise<Value> {
  const { carryOut, keyOf, maxItems = defaultMaxItems } = options;
  let queue: Waiting<Item, Value>[] = [];
  let isBusy = false;

  function take(): Waiting<Item, Value>[] {
    const batch: Waiting<Item, Value>[] = [];
    const later: Waiting<Item, Value>[] = [];
    const keys = new Set<string>();
    for (const waiting of queue) {
      const key = keyOf?.(waiting.item);
      if (batch.length >= maxItems || (key !== undefined && keys.has(key))) {
        later.push(waiting);
        continue;
      }
      if (key !== undefined) keys.add(key);
      batch.push(waiting);
    }
    queue = later;
    return batch;
  }

  /** Rejects when none of it was done. */
  async function doTogether(batch: readonly Waiting<Item, Value>[]): Promise<void> {
    const outcomes = await carryOut(batch.map(({ item }) => item));
    for (const [index, { resolve, reject }] of batch.entries()) {
      const outcome = outcomes[index] ?? { error: new Error('a batch gave no outcome for one of its items') };
      if ('value' in outcome) resolve(outcome.value);
      else reject(outcome.error);
    }
  }

  async function doApart(batch: readonly Waiting<Item, Value>[]): Promise<void> {
    for (const [index, waiting] of batch.entries()) {
      try {
        await doTogether([waiting]);
      } catch (error) {
        waiting.reject(error);
        if (!isDatabaseAway(error)) continue;
        // No fault of the item's: the others would only wait for the same in turn.
        for (const left of batch.slice(index + 1)) left.reject(error);
        return;
      }
    }
  }

  async function doAll(batch: readonly Waiting<Item, Value>[]): Promise<void> {
    try {
      await doTogether(batch);
    } catch (error) {
      if (batch.length === 1) for (const { reject } of batch) reject(error);
      else await doApart(batch);
    }
  }

  async function work(): Promise<void> {
    // What comes in the same turn of the event loop belongs together.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) {
      const batch = take();
      await doAll(batch);
      if (batch.length > 1) await sleep(gatherMs);
    }
    isBusy = false;
  }

  return (item) =>
    new Promise<Value>((resolve, reject) => {
      queue.push({ item, resolve, reject });
      if (isBusy) return;
      isBusy = true;
      void work();
    });
}

/** A batcher of reads: `read` gives the values of the keys, which are all different, by key; undefined for those there are none of. */
export function createReader<Value>(
  read: (keys: readonly string[]) => Promise<ReadonlyMap<string, Value>>,
): (key: string) => Promise<Value | undefined> {
  return createBatcher<string, Value | undefined>({
    carryOut: async (keys) => {
      const values = await read([...new Set(keys)]);
      return keys.map((key) => ({ value: values.get(key) }));
    },
  });
}
