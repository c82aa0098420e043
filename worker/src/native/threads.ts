import { XVaultError } from '@xvault/shared/errors.ts';
import {
  native,
  type OpenedFile,
  type PackedFrame,
  type PackedPiece,
  type ThreadsHandle,
  type WalkCount,
  type WalkPage,
} from './binding.ts';
import { RecordWriter } from './records.ts';

/** What a frame is made of: items as records, of which the files are read below the threads' root. */
export interface PackOperations {
  readonly records: Uint8Array;
  readonly count: number;
  /** So many of them are passed over. */
  readonly from: number;
}

export interface PackInto {
  /** Takes the zstd frame. */
  readonly target: Uint8Array;
  /** Most tar in it. */
  readonly frameBytes: number;
  readonly compressionLevel: number;
}

/** What comes into one frame of a large file; pieces are given in the order of their numbers, from 0 on. */
export interface FilePiece {
  readonly number: number;
  readonly isLast: boolean;
  /** Headers and map; hashed from `hashedFrom` on. */
  readonly prefix: Uint8Array;
  readonly hashedFrom: number;
  /** Pairs of offset and length, as doubles. */
  readonly extents: Uint8Array;
}

/** A file that is read in pieces side by side, and hashed in their order. */
export interface NativeFile {
  pack(piece: FilePiece, into: PackInto): Promise<PackedPiece>;
  /** SHA-256 of what was hashed; once, when the last piece is done. */
  digest(): Buffer;
  /** Nothing may follow. */
  close(): void;
}

/** What a walk does not even look at. */
export interface PlainExclusion {
  /** `name`: at any depth; `path`: from the root. */
  readonly of: 'name' | 'path';
  readonly directoriesOnly: boolean;
  readonly text: Buffer;
}

export interface WalkOptions {
  readonly oneFileSystem: boolean;
  readonly exclusions?: readonly PlainExclusion[];
}

/** A walk below the threads' root; one call at a time. */
export interface NativeWalk {
  items(): Promise<WalkPage>;
  count(): Promise<WalkCount>;
  /** Of a directory that was given nothing more is wanted: what was not looked at yet will not be. */
  skip(directory: Uint8Array): void;
}

/** Native threads. Promises reject with an Error that tells the system's reason. */
export class NativeThreads {
  readonly #handle: ThreadsHandle;

  /**
   * `rootFd` is duplicated; jobs that read files need it. Symlinks below it are followed where they lead into one of
   * `followRoots`, which are real paths.
   */
  constructor(count: number, rootFd = -1, followRoots: readonly Buffer[] = []) {
    const roots = new RecordWriter(64);
    for (const root of followRoots) roots.bytes(root);
    this.#handle = native.startThreads(count, rootFd, roots.finish());
  }

  /** One zstd frame of the first `sourceBytes` of `source`; resolves to its length in `target`. */
  compress(source: Uint8Array, sourceBytes: number, target: Uint8Array, level: number): Promise<number> {
    return native.compress(this.#handle, target, source, sourceBytes, level);
  }

  /** Reads, hashes, makes tar and compresses. Files over `mostFileBytes` end it as if there were no room. */
  pack({ records, count, from }: PackOperations, mostFileBytes: number, into: PackInto): Promise<PackedFrame> {
    const { target, frameBytes, compressionLevel } = into;
    return native.packFrame(this.#handle, records, count, from, mostFileBytes, target, frameBytes, compressionLevel);
  }

  walk({ oneFileSystem, exclusions = [] }: WalkOptions): NativeWalk {
    const records = new RecordWriter(64);
    for (const { of, directoriesOnly, text } of exclusions) {
      records.u8(of === 'path' ? 1 : 0);
      records.u8(directoriesOnly ? 1 : 0);
      records.bytes(text);
    }
    const walk = native.startWalk(this.#handle, oneFileSystem, records.finish());
    return {
      items: () => native.walkItems(walk),
      count: () => native.walkCount(walk),
      skip: (directory) => native.skipDirectory(walk, directory),
    };
  }

  /** The descriptor is duplicated. */
  file(fd: number): NativeFile {
    const file = native.startFile(fd);
    return {
      pack: ({ number, isLast, prefix, hashedFrom, extents }, { target, frameBytes, compressionLevel }) =>
        native.packPiece(
          this.#handle,
          file,
          number,
          isLast,
          prefix,
          hashedFrom,
          extents,
          target,
          frameBytes,
          compressionLevel,
        ),
      digest: () => native.digestFile(file),
      close: () => native.closeFile(file),
    };
  }

  open(path: Uint8Array): Promise<OpenedFile> {
    return native.openFile(this.#handle, path);
  }

  /** Jobs that have not begun fail. What a system call holds ends when it may: nothing waits for it. */
  close(): void {
    native.closeThreads(this.#handle);
  }
}

/** For a walk, or for what reads files: a failure there is the source's. */
export function sourceFailure(error: unknown): XVaultError {
  return new XVaultError('SOURCE_READ_FAILED', { detail: String(error), cause: error });
}
