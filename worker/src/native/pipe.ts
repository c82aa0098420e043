import { native, type PipeRead } from './binding.ts';

/** What another process writes, read by a native thread of its own. One call at a time. */
export interface NativePipe {
  /** For the process to write to. Whoever starts it closes it then: else the end never comes. */
  readonly writeFd: number;
  /** Fills a buffer whose first `filled` bytes are there already, and hashes it all; less when the end has come or nothing did for `stallMs`. */
  fill(buffer: Uint8Array, filled: number, stallMs: number): Promise<PipeRead>;
  /** Ends what waits as if the end had come. */
  close(): void;
}

const nothing: PipeRead = { bytes: 0, ended: true, stalled: false, sha256: Buffer.alloc(0) };

export function openPipe(): NativePipe {
  const { pipe, writeFd } = native.startPipe();
  const threads = native.startThreads(1, -1, Buffer.alloc(0));
  let isClosed = false;
  return {
    writeFd,
    async fill(buffer, filled, stallMs) {
      if (isClosed) return nothing;
      try {
        return await native.fillFromPipe(threads, pipe, buffer, filled, stallMs);
      } catch (error) {
        // It had not begun yet.
        if (isClosed) return nothing;
        throw error;
      }
    },
    close() {
      isClosed = true;
      native.closePipe(pipe);
      native.closeThreads(threads);
    },
  };
}
