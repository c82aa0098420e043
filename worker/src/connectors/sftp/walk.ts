import { isSkipped, type SkippedItem, type SourceEntry } from '../connector.ts';
import { skip } from './entries.ts';
import { itemCodeOf, SftpStatusError } from './status.ts';

/** Directories being listed at a time, unless a source says otherwise. */
const defaultListingsInFlight = 16;
/** Entries listed and not yet consumed, at which no more is listed ahead. */
const bufferedEntries = 50_000;
/** Directories looked at for something to list ahead, so that looking stays cheap. */
const lookAhead = 256;

type Item = SourceEntry | SkippedItem;
type Outcome = { readonly items: Item[] } | { readonly error: unknown };

interface DirectoryNode {
  readonly entry: SourceEntry;
  listing?: Promise<Outcome>;
  /** Known once it has been listed. */
  children?: DirectoryNode[];
}

interface Frame {
  readonly items: Item[];
  /** One that was gone into is let go of: it holds all that is below it. */
  readonly children: (DirectoryNode | undefined)[];
  nextItem: number;
  nextChild: number;
}

export interface WalkSource {
  readonly root: SourceEntry;
  list(path: Buffer): Promise<Item[]>;
  /** Whether to go into a directory; it is listed itself in any case. */
  enters(entry: SourceEntry): Promise<boolean>;
  /** The path on the server, for judging errors. */
  remote(path: Buffer): Buffer;
  /** Directories being listed at a time. */
  readonly listingsInFlight?: number;
}

/** A tree in order (parents first, names in byte order), with directories listed ahead of where the consumer is. */
export async function* walk(source: WalkSource): AsyncGenerator<Item> {
  const { listingsInFlight = defaultListingsInFlight } = source;
  const stack: Frame[] = [];
  let inFlight = 0;
  let buffered = 0;
  let ended = false;

  function start(node: DirectoryNode): Promise<Outcome> {
    inFlight += 1;
    const listing = source
      .enters(node.entry)
      .then((enters) => (enters ? source.list(node.entry.path) : []))
      .then(
        (items): Outcome => {
          node.children = items.flatMap((item) =>
            !isSkipped(item) && item.type === 'directory' ? [{ entry: item }] : [],
          );
          buffered += items.length;
          return { items };
        },
        (error: unknown): Outcome => ({ error }),
      )
      .finally(() => {
        inFlight -= 1;
        listAhead();
      });
    node.listing = listing;
    return listing;
  }

  function listAhead(): void {
    let looked = 0;
    const visit = (nodes: readonly (DirectoryNode | undefined)[], from: number): void => {
      for (let at = from; at < nodes.length; at += 1) {
        const node = nodes[at];
        looked += 1;
        if (!node || ended || looked > lookAhead || inFlight >= listingsInFlight || buffered >= bufferedEntries) return;
        if (!node.listing) void start(node);
        else if (node.children) visit(node.children, 0);
      }
    };
    for (let level = stack.length - 1; level >= 0; level -= 1) {
      const frame = stack[level];
      if (frame) visit(frame.children, frame.nextChild);
    }
  }

  async function* enter(node: DirectoryNode): AsyncGenerator<Item> {
    const outcome = await (node.listing ?? start(node));
    if ('error' in outcome) {
      if (!(outcome.error instanceof SftpStatusError)) throw outcome.error;
      const { path } = node.entry;
      yield skip(path, itemCodeOf(outcome.error, source.remote(path)), `cannot be listed: ${outcome.error.message}`);
      return;
    }
    buffered -= outcome.items.length;
    stack.push({ items: outcome.items, children: node.children ?? [], nextItem: 0, nextChild: 0 });
    listAhead();
  }

  try {
    yield source.root;
    yield* enter({ entry: source.root });
    for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
      const item = frame.items[frame.nextItem];
      if (!item) {
        stack.pop();
        continue;
      }
      frame.nextItem += 1;
      yield item;
      if (isSkipped(item) || item.type !== 'directory') continue;
      const node = frame.children[frame.nextChild];
      frame.children[frame.nextChild] = undefined;
      frame.nextChild += 1;
      if (node) yield* enter(node);
    }
  } finally {
    ended = true;
  }
}
