import type { SourceEntry } from './connector.ts';

/** What is at a path of a target already. */
export interface TargetStat {
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  readonly sizeBytes: number;
  /** Null where the target cannot tell. */
  readonly mtimeNs: bigint | null;
}

/** What a target keeps of an entry beside its content. */
export interface TargetAbilities {
  readonly symlinks: boolean;
  readonly modes: boolean;
  readonly mtimes: boolean;
}

/**
 * A live connection that a restore writes through. Paths are raw bytes relative to the target's root, parts joined by `/`,
 * without `.` or `..`; the root itself is `.`. No method follows a symlink below the root. Throws XVaultError SOURCE_… for the
 * connection as a whole; a TargetItemError for one path, after which others may go on.
 */
export interface TargetSession {
  readonly abilities: TargetAbilities;
  /** How many files the consumer should write at a time. */
  readonly writesInFlight: number;
  /** Null when nothing is there, the root included. */
  stat(path: Buffer): Promise<TargetStat | null>;
  /** Makes a directory, and the ones above it, the root (`.`) too; being there already is success. */
  makeDirectory(path: Buffer): Promise<void>;
  /** Writes under another name and moves it there when it is whole, replacing what is there; directories above it exist. */
  writeFile(entry: SourceEntry, content: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void>;
  /** Replaces what is there, unless a directory. */
  makeSymlink(entry: SourceEntry): Promise<void>;
  /** Another name for a file written before, replacing what is there; absent where the target has no hard links. */
  makeHardlink?(path: Buffer, existing: Buffer): Promise<void>;
  /** Mode and mtime of a directory, once all below it is there. */
  finishDirectory(entry: SourceEntry): Promise<void>;
  /** Makes durable what was written, where that is not so already. */
  flush?(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** One path that could not be written. */
export class TargetItemError extends Error {
  constructor(detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.name = 'TargetItemError';
  }
}

export interface TargetOptions {
  /** Letters and digits that go into temporary names: a later attempt of the run replaces what a killed one left. */
  readonly tag: string;
}

/**
 * One kind of target. `rootPath` is absolute as the source's config has it. Connecting changes nothing, so that a dry run may
 * connect: a missing root is made by `makeDirectory`, and until then nothing is there.
 */
export interface TargetConnector<Config, Secret> {
  connectTarget(
    config: Config,
    secret: Secret,
    rootPath: string,
    signal: AbortSignal,
    options?: TargetOptions,
  ): Promise<TargetSession>;
}
