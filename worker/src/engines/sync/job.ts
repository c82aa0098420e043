import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { RcClient } from './rclone/rc-client.ts';

const started = z.object({ jobid: z.int() });
const status = z.object({ finished: z.boolean(), success: z.boolean(), error: z.string() });

/** What rclone counts; `eta` and `speed` mean little in the first seconds. */
export const statsAnswer = z.object({
  bytes: z.number(),
  totalBytes: z.number(),
  transfers: z.number(),
  totalTransfers: z.number(),
  checks: z.number(),
  deletes: z.number(),
  renames: z.number().default(0),
  errors: z.number(),
  fatalError: z.boolean().default(false),
  retryError: z.boolean().default(false),
  lastError: z.string().optional(),
  speed: z.number(),
  eta: z.number().nullable(),
  transferring: z
    .array(z.object({ name: z.string(), size: z.number(), bytes: z.number().optional() }))
    .optional()
    .default([]),
});
export type JobStats = z.infer<typeof statsAnswer>;

export interface JobEnd {
  /** rclone's words; null when all went well. */
  readonly error: string | null;
  readonly stats: JobStats;
}

export interface JobOptions {
  readonly method: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** Names the statistics: one for each job. */
  readonly group: string;
  readonly onStats: (stats: JobStats) => void;
  /** Called when nothing has moved for so long; what it throws ends the job. */
  readonly stallMs: number;
  readonly onStall: () => never;
  readonly signal: AbortSignal;
}

/** How often its end is looked for: the longer it goes on, the less a moment more counts. */
const [firstPollMs, longestPollMs, pollShare] = [20, 250, 0.02];
const statsMs = 1000;
const stopWaitMs = 15_000;

/** Runs one rclone job to its end. When aborted or stalled it is stopped in order, so that no object is left half written. */
export async function runJob(rc: RcClient, options: JobOptions): Promise<JobEnd> {
  const { method, input, group, signal } = options;
  signal.throwIfAborted();
  const { jobid } = started.parse(await rc.call(method, { ...input, _async: true, _group: group }));
  try {
    return await follow(rc, jobid, options);
  } catch (error) {
    await stopJob(rc, jobid);
    throw signal.aborted ? signal.reason : error;
  }
}

async function follow(rc: RcClient, jobid: number, options: JobOptions): Promise<JobEnd> {
  const { group, onStats, signal } = options;
  let statsAtMs = 0;
  let movedAtMs = performance.now();
  let mark = '';
  const begunMs = performance.now();
  for (;;) {
    const now = status.parse(await rc.call('job/status', { jobid }, signal));
    rc.throwIfRefused();
    if (now.finished) {
      const stats = statsAnswer.parse(await rc.call('core/stats', { group }, signal));
      onStats(stats);
      return { error: now.success ? null : now.error || 'rclone gave no reason', stats };
    }
    if (performance.now() - statsAtMs >= statsMs) {
      statsAtMs = performance.now();
      const stats = statsAnswer.parse(await rc.call('core/stats', { group }, signal));
      onStats(stats);
      const nowMark = [stats.bytes, stats.checks, stats.transfers, stats.deletes, stats.renames].join(' ');
      if (nowMark !== mark) movedAtMs = performance.now();
      mark = nowMark;
      if (performance.now() - movedAtMs > options.stallMs) options.onStall();
    }
    const pollMs = firstPollMs + (performance.now() - begunMs) * pollShare;
    await sleep(Math.min(pollMs, longestPollMs), undefined, { signal });
  }
}

async function stopJob(rc: RcClient, jobid: number): Promise<void> {
  const deadline = AbortSignal.timeout(stopWaitMs);
  try {
    await rc.call('job/stop', { jobid }, deadline);
    while (!status.parse(await rc.call('job/status', { jobid }, deadline)).finished) {
      await sleep(firstPollMs, undefined, { signal: deadline });
    }
  } catch (error) {
    // rclone is gone, or does not stop: closing it ends it, and what brought us here is the error to tell.
    if (!(error instanceof Error)) throw error;
  }
}
