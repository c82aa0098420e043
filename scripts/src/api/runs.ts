import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ApiClient } from './client.ts';
import { isBroken } from './connection.ts';
import { serverSentEvents } from './sse.ts';

const figures = {
  progress_pct: z.number().nullable(),
  bytes_total: z.number().nullable(),
  bytes_transferred: z.number(),
  objects_transferred: z.number(),
  speed_bytes_per_sec: z.number(),
  eta_seconds: z.number().nullable(),
  current_item: z.string().nullable(),
};
export const runProgress = z.object(figures);
export type RunProgress = z.infer<typeof runProgress>;

export const runView = z.object({
  ...figures,
  id: z.string(),
  status: z.enum(['queued', 'starting', 'running', 'success', 'warning', 'failed', 'cancelled']),
  attempt: z.number(),
  error_code: z.string().nullable(),
  error_summary: z.string().nullable(),
  snapshot_id: z.string().nullable(),
});
export type RunView = z.infer<typeof runView>;

export function hasEnded(run: RunView): boolean {
  return ['success', 'warning', 'failed', 'cancelled'].includes(run.status);
}

/**
 * Follows a run by its event stream until it has ended, and gives its last state. A broken stream is taken up again:
 * the Hub may restart while the run goes on.
 */
export async function followRun(
  api: ApiClient,
  runId: string,
  onProgress: (progress: RunProgress) => void,
  signal: AbortSignal,
): Promise<RunView> {
  for (;;) {
    try {
      await readStream(api, runId, onProgress, signal);
      const run = await api.get(`/api/v1/runs/${runId}`, runView);
      if (hasEnded(run)) return run;
    } catch (error) {
      signal.throwIfAborted();
      if (!isBroken(error)) throw error;
    }
    await sleep(200, undefined, { signal });
  }
}

async function readStream(
  api: ApiClient,
  runId: string,
  onProgress: (progress: RunProgress) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await api.open(`/api/v1/runs/${runId}/stream`, { accept: 'text/event-stream' }, signal);
  if (response.body === null) return;
  for await (const { event, data } of serverSentEvents(response.body)) {
    if (event === 'progress') onProgress(runProgress.parse(JSON.parse(data)));
    if (event === 'end') return;
  }
}
