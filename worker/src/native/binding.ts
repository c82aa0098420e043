import { createRequire } from 'node:module';

/** Handles of what lives in native code; freed by the collector. */
export type ThreadsHandle = { readonly threads: unique symbol };
export type FileHandle = { readonly file: unique symbol };
export type WalkHandle = { readonly walk: unique symbol };
export type PipeHandle = { readonly pipe: unique symbol };

/** Items of a walk, as records. */
export interface WalkPage {
  readonly count: number;
  readonly records: Buffer;
  readonly ended: boolean;
}

export interface WalkCount {
  readonly fileCount: number;
  readonly totalBytes: number;
  readonly ended: boolean;
}

/** A frame of tar that was read, hashed and compressed in one go. */
export interface PackedFrame {
  /** Operations from the first on that are settled; the next one found no room. */
  readonly done: number;
  /** Of tar in the frame; 0 when nothing was put in. */
  readonly contentBytes: number;
  /** Of the zstd frame in the target. */
  readonly storedBytes: number;
  readonly fileCount: number;
  /** Sum of the regular files' sizes. */
  readonly sourceBytes: number;
  /** Records of item and place, with offsets from the frame's beginning. */
  readonly recordCount: number;
  readonly records: Buffer;
  /** Records of an operation's number and a skipped item. */
  readonly noteCount: number;
  readonly notes: Buffer;
}

/** A frame of a large file's content. */
export interface PackedPiece {
  readonly contentBytes: number;
  readonly storedBytes: number;
  /** Of the file's own data, without headers and map. */
  readonly dataBytes: number;
  /** Zeros among it that stand for what the file no longer had. */
  readonly missingBytes: number;
}

export interface OpenedFile {
  /** An item, or a skipped item: then there is no `fd`. */
  readonly record: Buffer;
  /** The caller closes it. */
  readonly fd?: number;
  /** Of a file with holes: what goes before its data in GNU's sparse format 1.0. */
  readonly map?: Buffer;
  /** Of a file with holes: pairs of offset and length as doubles, in order. */
  readonly extents?: Buffer;
  /** Of a file that has some: extended attributes, packed as xattrs.h says. */
  readonly xattrs?: Buffer;
  readonly xattrCount?: number;
  /** Of a file of which some are missing: what and why, as text. */
  readonly xattrsLack?: Buffer;
}

/** What came through a pipe. */
export interface PipeRead {
  /** In the buffer, with what was there before. */
  readonly bytes: number;
  readonly ended: boolean;
  /** Nothing came for too long. */
  readonly stalled: boolean;
  /** Of all of them. */
  readonly sha256: Buffer;
}

/** What worker/native exports; arguments are in the order of its binding.cc. Promises reject with an Error. */
interface Binding {
  startThreads(count: number, rootFd: number, followRoots: Uint8Array): ThreadsHandle;
  closeThreads(threads: ThreadsHandle): void;
  compress(
    threads: ThreadsHandle,
    target: Uint8Array,
    source: Uint8Array,
    sourceBytes: number,
    level: number,
  ): Promise<number>;
  packFrame(
    threads: ThreadsHandle,
    operations: Uint8Array,
    count: number,
    from: number,
    mostFileBytes: number,
    target: Uint8Array,
    frameBytes: number,
    level: number,
  ): Promise<PackedFrame>;
  startWalk(threads: ThreadsHandle, oneFileSystem: boolean, exclusions: Uint8Array): WalkHandle;
  skipDirectory(walk: WalkHandle, path: Uint8Array): void;
  walkItems(walk: WalkHandle): Promise<WalkPage>;
  walkCount(walk: WalkHandle): Promise<WalkCount>;
  openFile(threads: ThreadsHandle, path: Uint8Array): Promise<OpenedFile>;
  startFile(fd: number): FileHandle;
  packPiece(
    threads: ThreadsHandle,
    file: FileHandle,
    number: number,
    isLast: boolean,
    prefix: Uint8Array,
    hashedFrom: number,
    extents: Uint8Array,
    target: Uint8Array,
    frameBytes: number,
    level: number,
  ): Promise<PackedPiece>;
  digestFile(file: FileHandle): Buffer;
  closeFile(file: FileHandle): void;
  startPipe(): { readonly pipe: PipeHandle; readonly writeFd: number };
  fillFromPipe(
    threads: ThreadsHandle,
    pipe: PipeHandle,
    buffer: Uint8Array,
    filled: number,
    stallMs: number,
  ): Promise<PipeRead>;
  closePipe(pipe: PipeHandle): void;
  encodeTarHeader(item: Uint8Array, sparseBytes: number, xattrs: Uint8Array): Buffer;
  encodeIndexLines(records: Uint8Array, count: number, base: number): Buffer;
  alignedBuffer(bytes: number): Buffer;
  seal(target: Uint8Array, source: Uint8Array, key: Uint8Array, firstChunk: number, endsFile: boolean): number;
  compressBound(contentBytes: number): number;
}

function load(): Binding {
  if (process.platform !== 'linux') throw new Error('workers run on Linux: their native part is made for it alone');
  try {
    return createRequire(import.meta.url)('../../native/build/Release/xvault.node') as Binding;
  } catch (cause) {
    throw new Error('the native part of the worker is not built: `pnpm --filter @xvault/worker run install` does it', {
      cause,
    });
  }
}

export const native: Binding = load();
