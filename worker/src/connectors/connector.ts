import type { ErrorCode } from '@xvault/shared/errors.ts';
import type { EntryType, Xattrs } from '../artifact/entry.ts';
import type { PackedFrame, PackedPiece } from '../native/binding.ts';
import type { PackInto, PackOperations } from '../native/threads.ts';

export type ItemCode = Extract<ErrorCode, `ITEM_${string}`>;

/** One thing found below the source's root. Paths and names are raw bytes, as the source has them. */
export interface SourceEntry {
  /** Relative to the root, parts joined by `/`, no leading slash, no `.` or `..` part. The root itself is `.`. */
  readonly path: Buffer;
  readonly type: Exclude<EntryType, 'hardlink'>;
  /** Of a regular file, as listed; 0 for others. */
  readonly sizeBytes: number;
  /** Permission bits with setuid, setgid, sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Of a symlink: its target, unchanged. */
  readonly linkTarget?: Buffer;
  /** Equal for all names of one file with more than one link; absent where the source cannot tell or has one name. */
  readonly hardLinkKey?: string;
  /** Of a file that was opened, where the source has some. */
  readonly xattrs?: Xattrs;
  /** What a bucket says of an object: for the index alone, at most 8 KiB. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Something that cannot be backed up; the run goes on and ends with a warning. */
export interface SkippedItem {
  readonly path: Buffer;
  readonly skipped: ItemCode;
  /** For operators. */
  readonly detail: string;
}

/** What reading one small file gave: all of it, or why not. */
export type ReadResult =
  | {
      readonly ok: true;
      /** The metadata at the time of reading (`fstat`); `sizeBytes` equals `data.length`. */
      readonly entry: SourceEntry;
      readonly data: Buffer;
      /** SHA-256 of `data`, where the connector computed it off the main thread. */
      readonly sha256?: Buffer;
      /** The file changed between the beginning and the end of reading. */
      readonly changed: boolean;
      /** What else is to be told of it, although it is stored. */
      readonly remark?: SkippedItem;
    }
  | { readonly ok: false; readonly skipped: SkippedItem };

/** A large file being read in order. */
export interface FileStream {
  /** The metadata when it was opened; `sizeBytes` is what the reader must deliver or explain. */
  readonly entry: SourceEntry;
  /** What is to be told of it, although it is stored. */
  readonly remark?: SkippedItem;
  /** Set for a file with holes: `chunks` are then its map and data in GNU's sparse format 1.0, so many bytes in all. */
  readonly sparseBytes?: number;
  /**
   * The bytes in order, never more than `entry.sizeBytes` or `sparseBytes`. Ends early when the file shrank. Each chunk belongs to the
   * consumer until it asks for the next one. Throws XVaultError SOURCE_LOST or SOURCE_READ_FAILED when reading breaks.
   */
  readonly chunks: AsyncIterable<Buffer>;
  /** Where all of it is in memory already, hashed: to be stored in place of `chunks`. Good until `close`. */
  readonly whole?: { readonly data: Buffer; readonly sha256: Buffer };
  /** Where the source can make frames of it by itself, in place of `chunks`. */
  readonly pieces?: FilePieces;
  /** After `chunks` or all pieces ended: whether size or mtime are no longer what they were. */
  changed(): Promise<boolean>;
  close(): Promise<void>;
}

/** A large file as frames that several threads make at once. */
export interface FilePieces {
  readonly count: number;
  /**
   * Frame number `at` from 0 on, asked for in order; `header` comes before the first one's content. Throws XVaultError
   * SOURCE_READ_FAILED when reading breaks.
   */
  pack(at: number, header: Buffer, into: PackInto, signal: AbortSignal): Promise<PackedPiece>;
  /** SHA-256 of the content; when all pieces are done. */
  digest(): Buffer;
}

export interface Measure {
  readonly fileCount: number;
  readonly totalBytes: number;
}

/** What to do with an entry: `prune` also leaves out all below a directory. */
export type FilterVerdict = 'take' | 'skip' | 'prune';

/** Include and exclude patterns, compiled. */
export interface EntryFilter {
  judge(path: Buffer, isDirectory: boolean): FilterVerdict;
  /** The patterns themselves, for far sides and threads that compile them on their own. */
  readonly patterns: { readonly include: readonly string[]; readonly exclude: readonly string[] };
}

export interface ListOptions {
  readonly oneFileSystem: boolean;
  readonly signal: AbortSignal;
  /** List what symlinks point at in their place; loops are cut with a warning. */
  readonly followSymlinks?: boolean;
  /** On the worker's own disks: where symlinks may lead besides the root, as far as the operator has opened it. */
  readonly followRoots?: readonly string[];
  /**
   * A connector that can leave a whole directory unread by it should. Whatever it lists all the same is filtered again by the
   * engine, so one that takes no notice is slow, not wrong.
   */
  readonly filter?: EntryFilter;
  /** Files read at a time; absent for what suits the kind of source. */
  readonly readConcurrency?: number;
}

/** A live connection to a source. Not to be used by two backups at once. */
export interface SourceSession {
  /** Files up to this size are read by {@link readMany}; larger ones by {@link open}. */
  readonly smallFileBytes: number;
  /** How many {@link readMany} batches the consumer should keep in flight. */
  readonly batchesInFlight: number;
  /** All entries, parents before children, each directory's names in byte order; the root `.` first. */
  list(options: ListOptions): AsyncIterable<SourceEntry | SkippedItem>;
  /** Whole small files, results in the order of `entries`. Throws only when the connection as a whole is gone. */
  readMany(entries: readonly SourceEntry[], signal: AbortSignal): Promise<ReadResult[]>;
  /** Gives the memory of results that nobody will look at again back to the next {@link readMany}. */
  recycle?(results: readonly ReadResult[]): void;
  /**
   * Where the source can read by itself: a whole frame of items, compressed, in place of {@link readMany}. Operations are
   * records of items, later names of a file as hard links. Throws only when the source as a whole is gone.
   */
  pack?(operations: PackOperations, into: PackInto, signal: AbortSignal): Promise<PackedFrame>;
  /** Opens one large file. Resolves to a SkippedItem when this one file cannot be read. */
  open(entry: SourceEntry, signal: AbortSignal): Promise<FileStream | SkippedItem>;
  /** Counts what {@link list} will find, for the percentage; may run beside it. */
  measure(options: ListOptions): Promise<Measure>;
  /** Facts about the source for the manifest: versions, table prefix, site address. Asked for after the last entry. */
  describe?(): Record<string, string | number | boolean | null>;
  /** Runs a command in the source's login shell, where it has one. For hooks. */
  runCommand?(command: string, options: CommandOptions): Promise<CommandResult>;
  close(): Promise<void>;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}
export interface CommandResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  /** The end of what it wrote, both streams, at most 4 KiB. */
  readonly outputTail: string;
}

export interface SourceProbe {
  /** `SHA256:…` of the server's key, for SSH. */
  readonly hostKey: string | null;
  /** What the server calls itself, where it says so. */
  readonly server: string | null;
  /** Up to 100 names in the root. */
  readonly entryNames: string[];
  readonly latencyMs: number;
  /** What counting found within a few seconds; `complete` when it came to the end. */
  readonly measure?: { readonly fileCount: number; readonly totalBytes: number; readonly complete: boolean };
  /** What else is worth knowing: versions, whether a shell and tar are there, databases. For people; no secrets. */
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
}

/** One kind of source. Errors are XVaultError with the SOURCE_… and SSH_… codes. */
export interface Connector<Config, Secret> {
  connect(config: Config, secret: Secret, signal: AbortSignal): Promise<SourceSession>;
  probe(config: Config, secret: Secret, signal: AbortSignal): Promise<SourceProbe>;
}

export function isSkipped<T extends object>(item: T | SkippedItem): item is SkippedItem {
  return 'skipped' in item;
}
