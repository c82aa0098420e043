import { close } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { OpenedFile } from '../../native/binding.ts';
import { RecordReader } from '../../native/records.ts';
import { NativeThreads, type NativeWalk } from '../../native/threads.ts';
import type {
  FileStream,
  ListOptions,
  Measure,
  ReadResult,
  SkippedItem,
  SourceEntry,
  SourceSession,
} from '../connector.ts';
import { isSkipped } from '../connector.ts';
import { plainExclusions } from '../filter/plain.ts';
import { contentOf, wholeContent } from './file-content.ts';
import { filePieces } from './file-pieces.ts';
import { type BufferPair, createBufferPair, fileStream } from './large-file.ts';
import { readWhole } from './read-whole.ts';
import { handled, sourced } from './sourced.ts';

const smallFileBytes = 1024 * 1024;
/** Beyond this, the one thread that stores their frames is what limits. */
const maxPackThreads = 16;

/** Tells which places symlinks may lead to, the root among them; of those that are asked for only what the operator allows. */
export type FollowRoots = (asked: readonly string[]) => Promise<Buffer[]>;

/** A session over an open root directory, which it closes at its end. */
export function localSession(handle: FileHandle, followRoots: FollowRoots): SourceSession {
  const packThreads = Math.min(availableParallelism(), maxPackThreads);
  const threads = new Set<NativeThreads>();
  let packing: NativeThreads | undefined;
  let follows: readonly Buffer[] = [];
  const freeBuffers: BufferPair[] = [];

  function start(count: number): NativeThreads {
    const started = new NativeThreads(count, handle.fd, follows);
    threads.add(started);
    return started;
  }

  /** A walk has a thread of its own: it may hang in a dead file system for long, which must not hold up what is read. */
  async function* pages<T>(options: ListOptions, next: (walk: NativeWalk) => Promise<T>) {
    const { oneFileSystem, filter, signal } = options;
    await follow(options);
    const thread = start(1);
    try {
      signal.throwIfAborted();
      const walk = thread.walk({ oneFileSystem, exclusions: filter === undefined ? [] : plainExclusions(filter) });
      // One page ahead of the consumer.
      for (let ahead = handled(next(walk)); ; ) {
        const page = await sourced(ahead, signal);
        ahead = handled(next(walk));
        yield { walk, page };
      }
    } finally {
      thread.close();
      threads.delete(thread);
    }
  }

  /** What is listed with symlinks followed must be read so, too. */
  async function follow({ followSymlinks, followRoots: asked = [] }: ListOptions): Promise<void> {
    if (followSymlinks !== true || follows.length > 0) return;
    follows = await followRoots(asked);
    packing?.close();
    packing = undefined;
  }

  async function* list(options: ListOptions): AsyncGenerator<SourceEntry | SkippedItem> {
    const { filter } = options;
    for await (const { walk, page } of pages(options, (of) => of.items())) {
      const reader = new RecordReader(page.records);
      for (let at = 0; at < page.count; at += 1) {
        const item = reader.item();
        const isDirectory = filter !== undefined && !isSkipped(item) && item.type === 'directory';
        if (isDirectory && filter.judge(item.path, true) === 'prune') walk.skip(item.path);
        else yield item;
      }
      if (page.ended) return;
    }
  }

  async function measure(options: ListOptions): Promise<Measure> {
    let fileCount = 0;
    let totalBytes = 0;
    for await (const { page: counted } of pages(options, (walk) => walk.count())) {
      fileCount += counted.fileCount;
      totalBytes += counted.totalBytes;
      if (counted.ended) break;
    }
    return { fileCount, totalBytes };
  }

  /** `keepsHoles`: the stream is map and data of a file that has some. */
  async function open(entry: SourceEntry, signal: AbortSignal, keepsHoles: boolean): Promise<FileStream | SkippedItem> {
    signal.throwIfAborted();
    packing ??= start(packThreads);
    const opening = packing.open(entry.path);
    const opened = await sourced(opening, signal).catch((error: unknown) => {
      // It may still open: then nobody else knows of the descriptor.
      opening.then(closeUnused, () => undefined);
      throw error;
    });
    const found = new RecordReader(opened.record).item();
    if (isSkipped(found) || opened.fd === undefined) return found as SkippedItem;
    const { xattrs: packed, xattrCount: count = 0, xattrsLack: lack } = opened;
    const item = packed === undefined ? found : { ...found, xattrs: { packed, count } };
    const buffers = freeBuffers.pop() ?? createBufferPair();
    const content = keepsHoles ? contentOf(item.sizeBytes, opened) : wholeContent(item.sizeBytes);
    const stream = fileStream(opened.fd, item, content, buffers, signal, () => freeBuffers.push(buffers));
    const pieces = filePieces(packing, opened.fd, content);
    return {
      ...stream,
      ...(lack && { remark: { path: item.path, skipped: 'ITEM_ATTRIBUTES_LEFT_OUT', detail: lack.toString() } }),
      pieces,
      close() {
        pieces.close();
        return stream.close();
      },
    };
  }

  return {
    smallFileBytes,
    batchesInFlight: packThreads + 2,
    list,
    measure,
    open: (entry, signal) => open(entry, signal, true),
    async readMany(entries, signal) {
      const results: ReadResult[] = [];
      for (const entry of entries) {
        results.push(await readWhole(await open(entry, signal, false), smallFileBytes));
      }
      return results;
    },
    pack(operations, into, signal) {
      signal.throwIfAborted();
      packing ??= start(packThreads);
      return sourced(packing.pack(operations, smallFileBytes, into), signal);
    },
    async close() {
      for (const thread of threads) thread.close();
      threads.clear();
      await handle.close();
    },
  };
}

function closeUnused({ fd }: OpenedFile): void {
  if (fd !== undefined) close(fd);
}
