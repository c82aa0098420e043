import { isSkipped, type SkippedItem, type SourceEntry } from '../connector.ts';

type Item = SourceEntry | SkippedItem;
type Outcome = { readonly items: readonly Item[] } | { readonly error: unknown };

interface Node {
  readonly entry: SourceEntry;
  readonly depth: number;
  outcome?: Promise<Outcome>;
}

interface Frame {
  readonly items: readonly Item[];
  readonly nodes: readonly Node[];
  nextItem: number;
  nextNode: number;
}

export interface WalkSource {
  readonly root: SourceEntry;
  /** Directories listed at a time. */
  readonly width: number;
  /** In byte order; one that cannot be listed gives an item that says so. */
  list(directory: SourceEntry, depth: number): Promise<readonly Item[]>;
  /** Whether to look into a directory at all. */
  enters(directory: SourceEntry): boolean;
}

/** A tree in order, parents first, with the next few directories listed ahead of the consumer. */
export async function* walk({ root, width, list, enters }: WalkSource): AsyncGenerator<Item> {
  const stack: Frame[] = [];
  let inFlight = 0;
  let ended = false;

  function start(node: Node): Promise<Outcome> {
    inFlight += 1;
    node.outcome = list(node.entry, node.depth)
      .then(
        (items): Outcome => ({ items }),
        (error: unknown): Outcome => ({ error }),
      )
      .finally(() => {
        inFlight -= 1;
      });
    return node.outcome;
  }

  /** The nearest directories that will be asked for; no more than `width` wait to be looked into. */
  function listAhead(): void {
    let ahead = 0;
    for (let level = stack.length - 1; level >= 0 && ahead < width; level -= 1) {
      const frame = stack[level];
      for (let at = frame?.nextNode ?? 0; frame && at < frame.nodes.length && ahead < width; at += 1) {
        const node = frame.nodes[at];
        if (node === undefined || ended) return;
        ahead += 1;
        if (node.outcome === undefined && inFlight < width) void start(node);
      }
    }
  }

  async function enter(node: Node): Promise<void> {
    const outcome = await (node.outcome ?? start(node));
    // Its parent holds the node until it is through, and the outcome is all that lies in the directory.
    delete node.outcome;
    if ('error' in outcome) throw outcome.error;
    const { items } = outcome;
    const directories = items.filter((item) => !isSkipped(item) && item.type === 'directory' && enters(item));
    const nodes = directories.map((item) => ({ entry: item as SourceEntry, depth: node.depth + 1 }));
    stack.push({ items, nodes, nextItem: 0, nextNode: 0 });
    listAhead();
  }

  try {
    yield root;
    await enter({ entry: root, depth: 0 });
    for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
      const item = frame.items[frame.nextItem];
      if (item === undefined) {
        stack.pop();
        continue;
      }
      frame.nextItem += 1;
      yield item;
      const node = frame.nodes[frame.nextNode];
      if (node?.entry !== item) continue;
      frame.nextNode += 1;
      await enter(node);
    }
  } finally {
    ended = true;
  }
}
