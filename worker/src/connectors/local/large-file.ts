import { close, fstat, read } from 'node:fs';
import { promisify } from 'node:util';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileStream, SourceEntry } from '../connector.ts';
import { type Extent, type FileContent, piecesOf, storedBytesOf } from './file-content.ts';

const fstatAsync = promisify(fstat);
const closeAsync = promisify(close);
const chunkBytes = 1024 * 1024;

/** Two buffers: one with the consumer, one being filled. Kept for the next file. */
export type BufferPair = readonly [Buffer, Buffer];

export function createBufferPair(): BufferPair {
  return [Buffer.allocUnsafeSlow(chunkBytes), Buffer.allocUnsafeSlow(chunkBytes)];
}

/** A stream over an open descriptor, which it closes. `release` is called when the buffers are free again. */
export function fileStream(
  fd: number,
  entry: SourceEntry,
  content: FileContent,
  buffers: BufferPair,
  signal: AbortSignal,
  release: () => void,
): FileStream {
  let reading: Promise<number> = Promise.resolve(0);
  let closing: Promise<void> | undefined;
  let isCut = false;

  function startRead(buffer: Buffer, { offset, length }: Extent): Promise<number> {
    reading = readFully(fd, buffer, offset, length);
    // Looked at in its turn; until then a failure must not count as unhandled.
    reading.catch(() => undefined);
    return reading;
  }

  async function* chunks(): AsyncGenerator<Buffer> {
    if (content.map !== undefined) yield content.map;
    const pieces = piecesOf(content, chunkBytes);
    let [current, other] = buffers;
    let piece = pieces.next();
    let pending = piece.done ? undefined : startRead(current, piece.value);
    while (pending && !piece.done) {
      const { length } = piece.value;
      const got = await pending;
      signal.throwIfAborted();
      const filled = current;
      isCut ||= got < length;
      // Of a whole file the reader tells what is missing; between the pieces of another there is nothing else to put.
      if (got < length && content.map !== undefined) filled.fill(0, got, length);
      const isEnd = isCut && content.map === undefined;
      piece = pieces.next();
      [current, other] = [other, current];
      pending = piece.done || isEnd ? undefined : startRead(current, piece.value);
      if (got > 0 || !isEnd) yield filled.subarray(0, isEnd ? got : length);
    }
  }

  async function closeOnce(): Promise<void> {
    // A descriptor closed under a read could be another file's by the time the system gets to it.
    await reading.catch(() => undefined);
    await closeAsync(fd);
    release();
  }

  return {
    entry,
    ...(content.map === undefined ? {} : { sparseBytes: storedBytesOf(content) }),
    chunks: chunks(),
    async changed() {
      const now = await fstatAsync(fd, { bigint: true });
      return isCut || now.size !== BigInt(entry.sizeBytes) || now.mtimeNs !== entry.mtimeNs;
    },
    close() {
      closing ??= closeOnce();
      return closing;
    },
  };
}

/** As much as there is, up to `length`. */
async function readFully(fd: number, buffer: Buffer, offset: number, length: number): Promise<number> {
  let have = 0;
  while (have < length) {
    const got = await readSome(fd, buffer, have, length - have, offset + have);
    if (got === 0) break;
    have += got;
  }
  return have;
}

function readSome(fd: number, buffer: Buffer, at: number, length: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, at, length, position, (error, got) => (error ? reject(readFailed(error)) : resolve(got)));
  });
}

function readFailed(cause: NodeJS.ErrnoException): XVaultError {
  return new XVaultError('SOURCE_READ_FAILED', { detail: `read: ${cause.code ?? cause.message}`, cause });
}
