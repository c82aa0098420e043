import { poolLane, redisPrefix } from '@xvault/shared/lanes.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import { QueueEvents } from 'bullmq';

/** What lanes tell of tickets that went wrong. Only hints: they are lost with Redis, and without them it takes longer. */
export interface TicketHints {
  /** Listens to the lanes of these pools, and to no others any more. */
  follow(pools: readonly string[]): void;
  close(): Promise<void>;
}

/** An id of a ticket ends with its attempt. */
const ticketForm = /^(.+)-(\d+)$/;

/** Calls back with the run whose ticket failed or stalled in a pool's lane. Lanes of single workers are not listened to. */
export function createTicketHints(redisUrl: string, logger: Logger, onTrouble: (runId: string) => void): TicketHints {
  const byPool = new Map<string, QueueEvents>();

  const drop = async (pool: string): Promise<void> => {
    const events = byPool.get(pool);
    byPool.delete(pool);
    await events?.close().catch((error: unknown) => logger.debug({ err: error, pool }, 'closing the hints of a lane'));
  };

  const listen = (pool: string): QueueEvents => {
    const connection = { url: redisUrl, maxRetriesPerRequest: null };
    const events = new QueueEvents(poolLane(pool), { connection, prefix: redisPrefix });
    const tell = ({ jobId }: { jobId: string }): void => {
      const runId = ticketForm.exec(jobId)?.[1];
      if (runId !== undefined) onTrouble(runId);
    };
    events.on('failed', tell);
    events.on('stalled', tell);
    events.on('error', (error) => logger.debug({ err: error, pool }, 'hints of a lane'));
    return events;
  };

  return {
    follow(pools) {
      for (const pool of byPool.keys()) if (!pools.includes(pool)) void drop(pool);
      for (const pool of pools) if (!byPool.has(pool)) byPool.set(pool, listen(pool));
    },
    async close() {
      await Promise.all([...byPool.keys()].map(drop));
    },
  };
}
