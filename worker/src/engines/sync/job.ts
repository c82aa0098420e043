import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type RcClient, RcError } from './rclone/rc-client.ts';
import { redact } from './redact.ts';

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
  /** Names of what is being compared. */
  checking: z.array(z.string()).optional().default([]),
});
export type JobStats = z.infer<typeof statsAnswer>;

export interface JobEnd {
  /** rclone's words, redacted; null when all went well. */
  readonly error: string | null;
  readonly stats: JobStats;
}

export interface JobOptions {
  readonly method: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** Names the statistics: one for each job. */
  readonly group: string;
  readonly onStats: (stats: JobStats) => void;
  /** Called when nothing has moved for so long, and what large objects are read for beforehand; what it throws ends the job. */
  readonly stallMs: number;
  readonly onStall: () => never;
  readonly signal: AbortSignal;
}

/** How often its end is looked for: the longer it goes on, the less a moment more counts. */
const [firstPollMs, longestPollMs, pollShare] = [20, 250, 0.02];
const statsMs = 1000;
const stopWaitMs = 15_000;
/**
 * No figure moves while rclone reads an object for its hash alone: before an upload in parts, once more where it is encrypted, and to
 * compare by checksum. So a silence may be as long as that takes from a slow disk that is also busy.
 */
const silentBytesPerSecond = 20_000_000;
const measureMs = 20_000;

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
  const sizes = new Map<string, number>();
  for (;;) {
    const now = status.parse(await rc.call('job/status', { jobid }, signal));
    rc.throwIfRefused();
    if (now.finished) {
      const stats = statsAnswer.parse(await rc.call('core/stats', { group }, signal));
      onStats(stats);
      return { error: now.success ? null : redact(now.error) || 'rclone gave no reason', stats };
    }
    if (performance.now() - statsAtMs >= statsMs) {
      statsAtMs = performance.now();
      const stats = statsAnswer.parse(await rc.call('core/stats', { group }, signal));
      onStats(stats);
      const nowMark = [stats.bytes, stats.checks, stats.transfers, stats.deletes, stats.renames].join(' ');
      if (nowMark !== mark) movedAtMs = performance.now();
      mark = nowMark;
      const silentMs = performance.now() - movedAtMs - options.stallMs;
      if (silentMs > 0 && silentMs > (await readingMs(rc, options, stats, sizes))) options.onStall();
    }
    const pollMs = firstPollMs + (performance.now() - begunMs) * pollShare;
    await sleep(Math.min(pollMs, longestPollMs), undefined, { signal });
  }
}

/** How long what is at work may be read in silence. Sizes that were asked for are kept. */
async function readingMs(rc: RcClient, options: JobOptions, stats: JobStats, sizes: Map<string, number>) {
  const { transferring, checking } = stats;
  const compared = checking.map(async (name) => {
    const size = sizes.get(name) ?? (await sizeOf(rc, options, name));
    sizes.set(name, size);
    return size;
  });
  const all = [...transferring.map(({ size }) => Math.max(0, size)), ...(await Promise.all(compared))];
  return (all.reduce((sum, size) => sum + size, 0) / silentBytesPerSecond) * 1000;
}

const found = z.object({ item: z.object({ Size: z.number() }).nullable() });

/** Of an object of the source; 0 where that does not tell. */
async function sizeOf(rc: RcClient, { input, signal }: JobOptions, remote: string): Promise<number> {
  const deadline = AbortSignal.timeout(measureMs);
  try {
    const asked = { fs: input.srcFs, remote, opt: { filesOnly: true } };
    const answer = await rc.call('operations/stat', asked, AbortSignal.any([signal, deadline]));
    return Math.max(0, found.parse(answer).item?.Size ?? 0);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RcError || deadline.aborted) return 0;
    throw error;
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
