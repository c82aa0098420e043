import { parentPort } from 'node:worker_threads';
import { NativeThreads } from './threads.ts';

// A worker thread for a test: says when its frames are being made, and is ended then.
const threads = new NativeThreads(2);
for (let count = 0; count < 6; count += 1) {
  const source = Buffer.alloc(4 * 1024 * 1024, `frame ${count} of many. `);
  // What becomes of them is nobody's matter here.
  threads.compress(source, source.length, Buffer.alloc(5 * 1024 * 1024), 15).catch(() => undefined);
}
parentPort?.postMessage('busy');
