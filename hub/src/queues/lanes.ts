import { laneJobOptions, redisPrefix, type Ticket, ticketId } from '@xvault/shared/lanes.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { within } from './within.ts';

/** A ticket on its way to a lane; `kind` becomes the BullMQ job's name, by which workers choose the slot. */
export interface LaneTicket extends Ticket {
  readonly lane: string;
  readonly kind: string;
}

/** `missing`: the lane does not know the ticket. `pending`: it waits, or a worker has it. `ended`: it was consumed. */
export type TicketState = 'missing' | 'pending' | 'ended';

export interface Lanes {
  /** Adds tickets; those that a lane has already are ignored by it. Rejects when Redis does not take them in time. */
  add(tickets: readonly LaneTicket[]): Promise<void>;
  state(lane: string, ticket: Ticket): Promise<TicketState>;
  /** True when Redis holds the mark of an earlier {@link markGeneration}; false after it was lost or emptied. */
  hasGeneration(): Promise<boolean>;
  markGeneration(): Promise<void>;
  close(): Promise<void>;
}

/** Each Queue costs about 190 KiB here; the lanes used least recently are closed. */
const maxOpenQueues = 256;
const redisTimeoutMs = 5_000;
const generationKey = `${redisPrefix}:generation`;

/** Producers of all lanes over one shared connection, which must have `enableOfflineQueue: false` so that calls fail at once. */
export function createLanes(redis: Redis, logger: Logger): Lanes {
  const queues = new Map<string, Queue>();

  const drop = (lane: string): void => {
    const queue = queues.get(lane);
    queues.delete(lane);
    queue?.close().catch((error: unknown) => logger.debug({ err: error, lane }, 'closing a lane'));
  };

  const queueOf = (lane: string): Queue => {
    // BullMQ would wait for a connection without end; the rows of the outbox can wait instead.
    if (redis.status !== 'ready') throw new Error(`Redis is not connected (${redis.status})`);
    const known = queues.get(lane);
    const queue = known ?? new Queue(lane, { connection: redis, prefix: redisPrefix });
    if (known === undefined) queue.on('error', (error) => logger.debug({ err: error, lane }, 'lane'));
    queues.delete(lane);
    queues.set(lane, queue);
    const oldest = queues.keys().next().value;
    if (queues.size > maxOpenQueues && oldest !== undefined) drop(oldest);
    return queue;
  };

  const withQueue = async <T>(lane: string, use: (queue: Queue) => Promise<T>): Promise<T> => {
    try {
      return await within(redisTimeoutMs, `lane ${lane}`, use(queueOf(lane)));
    } catch (error) {
      // A queue whose first contact failed stays broken for ever; the next call makes a new one.
      drop(lane);
      throw error;
    }
  };

  return {
    async add(tickets) {
      for (const [lane, group] of Map.groupBy(tickets, (ticket) => ticket.lane)) {
        await withQueue(lane, (queue) =>
          queue.addBulk(
            group.map(({ kind, runId, attempt }) => ({
              name: kind,
              data: { runId, attempt },
              opts: { ...laneJobOptions, jobId: ticketId(runId, attempt) },
            })),
          ),
        );
      }
    },
    async state(lane, { runId, attempt }) {
      const state = await withQueue(lane, (queue) => queue.getJobState(ticketId(runId, attempt)));
      if (state === 'unknown') return 'missing';
      return state === 'completed' || state === 'failed' ? 'ended' : 'pending';
    },
    hasGeneration: async () => (await within(redisTimeoutMs, 'generation', redis.exists(generationKey))) === 1,
    markGeneration: async () => {
      await within(redisTimeoutMs, 'generation', redis.set(generationKey, new Date().toISOString()));
    },
    async close() {
      const open = [...queues.keys()];
      for (const lane of open) drop(lane);
    },
  };
}
