import { setTimeout as sleep } from 'node:timers/promises';
import type { Findings } from './checks/finding.ts';

/** Looks again and again until nothing is found any more, or the time is over; gives what is found then. */
export async function untilNone(
  look: () => Promise<Findings> | Findings,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Findings> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found.length === 0 || performance.now() > deadline) return found;
    await sleep(500, undefined, { signal });
  }
}
