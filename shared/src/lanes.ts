import { z } from 'zod';
import { idSchema } from './ids.ts';

/** A wake-up: which attempt of which run may be started. Never a secret, never the truth. */
export const ticket = z.strictObject({ runId: idSchema, attempt: z.int().min(1) });
export type Ticket = z.infer<typeof ticket>;

/** Prefix of every key that xVault keeps in Redis. */
export const redisPrefix = 'xvault';

export function poolLane(pool: string): string {
  return `pool-${pool}`;
}

export function workerLane(workerId: string): string {
  return `worker-${workerId}`;
}

/** BullMQ ignores a second add with the same id, so each attempt has its own. */
export function ticketId(runId: string, attempt: number): string {
  return `${runId}-${attempt}`;
}

/** The Hub alone retries, so BullMQ must not; the values are the same for all workers of a lane, as its stall check demands. */
export const laneJobOptions = {
  attempts: 1,
  removeOnComplete: { count: 1000 },
  removeOnFail: { count: 1000 },
} as const;
export const laneWorkerOptions = { lockDuration: 120_000, stalledInterval: 30_000, maxStalledCount: 0 } as const;
