import { close, fstat, read } from 'node:fs';
import { promisify } from 'node:util';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileStream, SourceEntry } from '../connector.ts';

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
  buffers: BufferPair,
  signal: AbortSignal,
  release: () => void,
): FileStream {
  let reading: Promise<number> = Promise.resolve(0);
  let closing: Promise<void> | undefined;

  function startRead(buffer: Buffer, position: number): Promise<number> {
    const length = Math.min(buffer.length, entry.sizeBytes - position);
    reading = new Promise((resolve, reject) => {
      read(fd, buffer, 0, length, position, (error, got) => (error ? reject(readFailed(error)) : resolve(got)));
    });
    // Looked at in its turn; until then a failure must not count as unhandled.
    reading.catch(() => undefined);
    return reading;
  }

  async function* chunks(): AsyncGenerator<Buffer> {
    let [current, other] = buffers;
    let position = 0;
    let pending = entry.sizeBytes > 0 ? startRead(current, 0) : undefined;
    while (pending) {
      const got = await pending;
      signal.throwIfAborted();
      if (got === 0) return;
      position += got;
      const filled = current;
      [current, other] = [other, current];
      pending = position < entry.sizeBytes ? startRead(current, position) : undefined;
      yield filled.subarray(0, got);
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
    chunks: chunks(),
    async changed() {
      const now = await fstatAsync(fd, { bigint: true });
      return now.size !== BigInt(entry.sizeBytes) || now.mtimeNs !== entry.mtimeNs;
    },
    close() {
      closing ??= closeOnce();
      return closing;
    },
  };
}

function readFailed(cause: NodeJS.ErrnoException): XVaultError {
  return new XVaultError('SOURCE_READ_FAILED', { detail: `read: ${cause.code ?? cause.message}`, cause });
}
