import type {
  EntryFilter,
  ListOptions,
  Measure,
  ReadResult,
  SkippedItem,
  SourceEntry,
  SourceSession,
} from '../connector.ts';
import { type DumpPlan, DumpSource, entryOf } from '../database/dump-source.ts';

export const filesFolder = 'files';
const prefix = Buffer.from(`${filesFolder}/`);

export interface WordpressSessionOptions {
  readonly files: SourceSession;
  readonly plan: DumpPlan;
  /** Of the site's files; null takes all. */
  readonly without: EntryFilter | null;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
  readonly close: () => Promise<void>;
}

/** A site as one source: its database below `databases/`, its directory below `files/`. */
export function wordpressSession({ files, plan, without, facts, close }: WordpressSessionOptions): SourceSession {
  const dumps = new DumpSource(plan);
  const inner = (options: ListOptions): ListOptions => ({ ...options, filter: below(options.filter, without) });
  const kept = (item: SourceEntry | SkippedItem) => {
    const isDirectory = 'type' in item && item.type === 'directory';
    return without === null || isRoot(item.path) || without.judge(item.path, isDirectory) === 'take';
  };

  async function readMany(entries: readonly SourceEntry[], signal: AbortSignal): Promise<ReadResult[]> {
    const ours = entries.filter(({ path }) => isFile(path)).map(inSite);
    const read = ours.length === 0 ? [] : await files.readMany(ours, signal);
    const results = read.values();
    return Promise.all(
      entries.map(async (entry) => {
        if (!isFile(entry.path)) return dumps.read(entry);
        const next = results.next();
        if (next.done === true) throw new Error('a source returned too few results');
        return inSnapshotResult(next.value);
      }),
    );
  }

  return {
    smallFileBytes: files.smallFileBytes,
    batchesInFlight: files.batchesInFlight,
    async *list(options) {
      yield entryOf('.', 'directory', 0);
      // First the database: what it says is there is then among the files, not the other way round.
      yield* dumps.list(options.signal);
      for await (const item of files.list(inner(options))) if (kept(item)) yield inSnapshot(item);
      yield* dumps.listExtra(options.signal);
    },
    readMany,
    async open(entry, signal) {
      if (!isFile(entry.path)) return dumps.open(entry);
      const opened = await files.open(inSite(entry), signal);
      return 'skipped' in opened ? inSnapshot(opened) : { ...opened, entry: inSnapshot(opened.entry) };
    },
    async measure(options): Promise<Measure> {
      const [counted, dumped] = [await files.measure(inner(options)), dumps.measure()];
      return {
        fileCount: counted.fileCount + dumped.fileCount,
        totalBytes: counted.totalBytes + dumped.totalBytes,
      };
    },
    describe: () => ({ ...files.describe?.(), ...facts, dumped_bytes: dumps.dumpedBytes }),
    ...(files.runCommand === undefined ? {} : { runCommand: files.runCommand.bind(files) }),
    close,
  };
}

function isRoot(path: Buffer): boolean {
  return path.length === 1 && path[0] === 0x2e;
}

function isFile(path: Buffer): boolean {
  return path.subarray(0, prefix.length).equals(prefix);
}

function inSite(entry: SourceEntry): SourceEntry {
  return { ...entry, path: entry.path.subarray(prefix.length) };
}

/** The site's directory itself is `files`. */
function inSnapshot<T extends { readonly path: Buffer }>(item: T): T {
  return { ...item, path: isRoot(item.path) ? Buffer.from(filesFolder) : Buffer.concat([prefix, item.path]) };
}

function inSnapshotResult(result: ReadResult): ReadResult {
  if (!result.ok) return { ...result, skipped: inSnapshot(result.skipped) };
  return { ...result, entry: inSnapshot(result.entry) };
}

/** The job's patterns are about paths of the snapshot; ours about those of the site. */
function below(outer: EntryFilter | undefined, without: EntryFilter | null): EntryFilter {
  return {
    judge(path, isDirectory) {
      const verdict = without?.judge(path, isDirectory) ?? 'take';
      if (verdict !== 'take' || outer === undefined) return verdict;
      return outer.judge(isRoot(path) ? Buffer.from(filesFolder) : Buffer.concat([prefix, path]), isDirectory);
    },
    patterns: { include: [], exclude: without?.patterns.exclude ?? [] },
  };
}
