import type { ApiClient } from '../api/client.ts';
import { serverSentEvents } from '../api/sse.ts';

/** Follows the runs until the signal; the function given tells how often their progress was shown so far. */
export function countFrames(api: ApiClient, runIds: readonly string[], signal: AbortSignal): () => number {
  let frames = 0;
  const follow = async (runId: string) => {
    const { body } = await api.open(`/api/v1/runs/${runId}/stream`, {}, signal);
    if (body === null) throw new Error('an answer without a body');
    for await (const { event } of serverSentEvents(body)) if (event === 'progress') frames += 1;
  };
  for (const runId of runIds) {
    follow(runId).catch((error: unknown) => {
      // What is missing in the count says the rest.
      if (!signal.aborted) process.stderr.write(`a follower broke off: ${String(error)}\n`);
    });
  }
  return () => frames;
}
