import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerNode } from '../cluster/worker-node.ts';

const longestWaitMs = 6_000;

/** Waits until the worker is in the middle of writing a snapshot, but not for ever. */
export async function untilWriting({ storageDir }: WorkerNode, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + longestWaitMs;
  while (performance.now() < deadline && !signal.aborted) {
    const paths = await readdir(storageDir, { recursive: true }).catch(() => []);
    if (paths.some((path) => path.endsWith('/backup.tar.zst.enc') && path.includes('.part-'))) return;
    await sleep(50);
  }
}
