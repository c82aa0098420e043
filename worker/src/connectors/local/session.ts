import { close } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { untilAborted } from '../../net/until-aborted.ts';
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
import type { RootDirectory } from './directory-cursor.ts';
import { FileThread } from './file-thread.ts';
import { type BufferPair, createBufferPair, fileStream } from './large-file.ts';
import { RecordReader } from './record-codec.ts';
import { readSmallFiles, roomFor } from './small-files.ts';
import type { OpenReply } from './thread-protocol.ts';

const smallFileBytes = 1024 * 1024;
/** Of the memory for one batch; larger batches get memory of their own. */
const roomBytes = 1024 * 1024;
/** Threads that read small files: a second one keeps a disk busy while the first one hashes. */
const readerThreads = 2;
/** Replies of the walking thread under way; what bounds how far it is ahead of the consumer. */
const repliesAhead = 3;

/** A session over an open root directory, which it closes at its end. */
export function localSession(handle: FileHandle, path: Buffer): SourceSession {
  const root: RootDirectory = { fd: handle.fd, path };
  const threads = new Set<FileThread>();
  const readers: FileThread[] = [];
  const freeBuffers: BufferPair[] = [];
  // Fresh memory for each batch would cost page faults, and a collection for every few dozen MiB read.
  const freeRooms: SharedArrayBuffer[] = [];
  const roomOf = new WeakMap<readonly ReadResult[], SharedArrayBuffer>();

  function startThread(): FileThread {
    const thread = new FileThread(root);
    threads.add(thread);
    return thread;
  }

  async function endThread(thread: FileThread): Promise<void> {
    await thread.close();
    threads.delete(thread);
  }

  /** The reader with the least to do; a further one is started when all are busy. */
  function reader(): FileThread {
    const [idlest] = readers.toSorted((a, b) => a.load - b.load);
    if (idlest && (idlest.load === 0 || readers.length >= readerThreads)) return idlest;
    const started = startThread();
    readers.push(started);
    return started;
  }

  async function* list({ oneFileSystem, signal }: ListOptions): AsyncGenerator<SourceEntry | SkippedItem> {
    const thread = startThread();
    try {
      await untilAborted(thread.walk(oneFileSystem), signal);
      const replies = Array.from({ length: repliesAhead }, () => handled(thread.items()));
      for (let reply = replies.shift(); reply; reply = replies.shift()) {
        const { count, records, ended } = await untilAborted(reply, signal);
        if (!ended) replies.push(handled(thread.items()));
        const decoder = new RecordReader(records);
        for (let at = 0; at < count; at += 1) yield decoder.item();
      }
    } finally {
      await endThread(thread);
    }
  }

  async function measure({ oneFileSystem, signal }: ListOptions): Promise<Measure> {
    const thread = startThread();
    let fileCount = 0;
    let totalBytes = 0;
    try {
      await untilAborted(thread.walk(oneFileSystem), signal);
      for (let ended = false; !ended; ) {
        const counted = await untilAborted(thread.count(), signal);
        fileCount += counted.fileCount;
        totalBytes += counted.totalBytes;
        ended = counted.ended;
      }
      return { fileCount, totalBytes };
    } finally {
      await endThread(thread);
    }
  }

  async function open(entry: SourceEntry, signal: AbortSignal): Promise<FileStream | SkippedItem> {
    const opening = reader().open(entry.path);
    const { fd, record } = await untilAborted(opening, signal).catch((error: unknown) => {
      // It may still open: then nobody else knows of the descriptor.
      opening.then(closeUnused, () => undefined);
      throw error;
    });
    const item = new RecordReader(record).item();
    if (isSkipped(item) || fd === undefined) return item as SkippedItem;
    const buffers = freeBuffers.pop() ?? createBufferPair();
    return fileStream(fd, item, buffers, signal, () => freeBuffers.push(buffers));
  }

  return {
    smallFileBytes,
    batchesInFlight: 2 * readerThreads,
    list,
    measure,
    open,
    async readMany(entries: readonly SourceEntry[], signal: AbortSignal): Promise<ReadResult[]> {
      signal.throwIfAborted();
      const bytes = roomFor(entries, smallFileBytes);
      const room =
        bytes <= roomBytes ? (freeRooms.pop() ?? new SharedArrayBuffer(roomBytes)) : new SharedArrayBuffer(bytes);
      const results = await untilAborted(handled(readSmallFiles(reader(), entries, room, smallFileBytes)), signal);
      roomOf.set(results, room);
      return results;
    },
    recycle(results: readonly ReadResult[]) {
      const room = roomOf.get(results);
      roomOf.delete(results);
      if (room?.byteLength === roomBytes) freeRooms.push(room);
    },
    async close() {
      await Promise.all([...threads].map(endThread));
      await handle.close();
    },
  };
}

/** For promises that are looked at later: until then a failure must not count as unhandled. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

function closeUnused({ fd }: OpenReply): void {
  if (fd !== undefined) close(fd);
}
