import { laneWorkerOptions, poolLane, redisPrefix, ticket as ticketSchema, workerLane } from '@xvault/shared/lanes.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import { type RunKind, runKinds } from '@xvault/shared/run-kinds.ts';
import { DelayedError, type Job, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { type ExecutorDeps, executeTicket } from './run-executor.ts';
import { Slots } from './slots.ts';

/** Short runs (connection tests, file listings) have slots of their own, so that they never wait behind a long backup. */
const controlSlots = 32;
/** How long a ticket of the shared lane that found no free slot here stays away, so that another worker may take it. */
const putBackMs = 300;

export interface LaneConsumer {
  /** Data slots in use. */
  slotsInUse(): number;
  /** Takes no tickets while it is to drain; those being carried out go on. */
  drain(drain: boolean): Promise<void>;
  /** Takes no tickets any more; those being carried out go on. */
  stopClaiming(): Promise<void>;
  /** After all runs ended. */
  close(): Promise<void>;
}

export interface ConsumerOptions {
  readonly redisUrl: string;
  readonly pool: string;
  readonly workerId: string;
  readonly slots: number;
  readonly logger: Logger;
  readonly executor: ExecutorDeps;
}

/** Consumes the shared lane of the pool and this worker's own lane; at most `slots` data runs at once over both. */
export function consumeLanes(options: ConsumerOptions): LaneConsumer {
  const data = new Slots(options.slots);
  const control = new Slots(controlSlots);
  const stopping = new AbortController();
  const connection = new Redis(options.redisUrl, { maxRetriesPerRequest: null });
  connection.on('error', (error) => options.logger.warn({ err: error }, 'redis connection'));

  const process = async (job: Job, token: string | undefined, shared: boolean): Promise<unknown> => {
    const slots = slotKind(job.name) === 'control' ? control : data;
    const putBack = async (): Promise<never> => {
      await job.moveToDelayed(Date.now() + putBackMs, token);
      throw new DelayedError();
    };
    // A pause does not undo a request for the next ticket that is under way: what it brings goes to another worker.
    if (stopping.signal.aborted) return putBack();
    // A short run waits its turn here; a long one of the shared lane may find a free slot at another worker.
    const waits = !shared || slots === control;
    if (!(waits ? await acquired(slots, stopping.signal) : slots.tryAcquire())) return putBack();
    try {
      return await executeTicket(ticketSchema.parse(job.data), stopping.signal, options.executor);
    } catch (error) {
      // Not started by the time this worker stops: used up, the ticket would count as an attempt.
      if (stopping.signal.aborted) return await putBack();
      throw error;
    } finally {
      slots.release();
    }
  };

  const lane = (name: string, concurrency: number, shared: boolean): Worker => {
    const worker = new Worker(name, (job, token) => process(job, token, shared), {
      ...laneWorkerOptions,
      connection,
      prefix: redisPrefix,
      concurrency,
    });
    worker.on('error', (error) => options.logger.warn({ err: error, lane: name }, 'lane'));
    // Losing Redis must not kill a run: the lease at the Hub decides, so ask it.
    worker.on('lockRenewalFailed', () => options.executor.keeper.beatNow());
    return worker;
  };
  const workers = [
    lane(poolLane(options.pool), options.slots + controlSlots, true),
    lane(workerLane(options.workerId), 2 * options.slots + controlSlots, false),
  ];

  let draining = false;
  /** Pauses and resumes follow each other in the order they were asked for. */
  let settled: Promise<unknown> = Promise.resolve();
  const setPaused = (paused: boolean): Promise<void> => {
    const done = settled.then(async () => {
      if (!paused && stopping.signal.aborted) return;
      await Promise.all(workers.map((worker) => (paused ? worker.pause(true) : worker.resume())));
    });
    settled = done.catch(() => undefined);
    return done;
  };

  return {
    slotsInUse: () => data.inUse,
    drain: async (drain) => {
      if (drain === draining || stopping.signal.aborted) return;
      draining = drain;
      options.logger.info({ drain }, drain ? 'draining: no more tickets are taken' : 'tickets are taken again');
      await setPaused(drain);
    },
    stopClaiming: async () => {
      stopping.abort(new Error('the worker is shutting down'));
      await setPaused(true);
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.close(true)));
      connection.disconnect();
    },
  };
}

async function acquired(slots: Slots, signal: AbortSignal): Promise<boolean> {
  try {
    await slots.acquire(signal);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

function slotKind(jobName: string): 'data' | 'control' {
  return Object.hasOwn(runKinds, jobName) ? runKinds[jobName as RunKind].slot : 'data';
}
