import { parentPort } from 'node:worker_threads';
import zstd from 'zstd-napi/binding.js';

/** One frame to compress. Memory is shared: handing it over costs nothing, and the collector does not count it anew. */
export interface CompressRequest {
  readonly id: number;
  readonly source: SharedArrayBuffer;
  readonly sourceBytes: number;
  readonly target: SharedArrayBuffer;
  readonly level: number;
}

export type CompressResponse =
  | { readonly id: number; readonly targetBytes: number }
  | { readonly id: number; readonly error: string };

const port = parentPort;
if (port === null) throw new Error('compress-thread.ts runs as a worker thread only');

// One context for the life of the thread: making one for each frame costs more than a small frame's compression.
const context = new zstd.CCtx();

port.on('message', (request: CompressRequest) => {
  const { id, source, target } = request;
  try {
    context.setParameter(zstd.CParameter.compressionLevel, request.level);
    const targetBytes = context.compress2(new Uint8Array(target), new Uint8Array(source, 0, request.sourceBytes));
    port.postMessage({ id, targetBytes } satisfies CompressResponse);
  } catch (error) {
    port.postMessage({ id, error: String(error) } satisfies CompressResponse);
  }
});
