import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

export interface BullmqSpeed {
  readonly perSecond: number;
  /** Add → processor, one at a time. */
  readonly idleMs: readonly number[];
}

/** What the queue underneath can do on this machine with nothing around it: no-op jobs, added and processed here. */
export async function measureBullmq(redisUrl: string, forMs: number, singles: number, signal: AbortSignal) {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue('bench', { connection });
  let processed = 0;
  let onProcessed = (): void => undefined;
  const worker = new Worker(
    'bench',
    async () => {
      processed += 1;
      onProcessed();
    },
    { connection, concurrency: 50, removeOnComplete: { count: 0 } },
  );
  try {
    await worker.waitUntilReady();
    const idleMs: number[] = [];
    for (let number = 0; number < singles; number += 1) {
      const { promise, resolve } = Promise.withResolvers<void>();
      onProcessed = resolve;
      const startMs = performance.now();
      await queue.add('single', {});
      await promise;
      idleMs.push(performance.now() - startMs);
    }
    onProcessed = () => undefined;
    const endMs = performance.now() + forMs;
    const [firstCount, firstMs] = [processed, performance.now()];
    const keepAdding = async () => {
      while (performance.now() < endMs && !signal.aborted) await queue.add('many', {});
    };
    await Promise.all(Array.from({ length: 50 }, keepAdding));
    await sleep(0);
    const perSecond = ((processed - firstCount) / (performance.now() - firstMs)) * 1000;
    return { perSecond, idleMs } satisfies BullmqSpeed;
  } finally {
    await worker.close(true);
    await queue.obliterate({ force: true });
    await queue.close();
    connection.disconnect();
  }
}
