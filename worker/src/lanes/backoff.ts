import { setTimeout as sleep } from 'node:timers/promises';

/** Full jitter, doubling from `firstMs` up to `maxMs`. */
export function backoffMs(attempt: number, firstMs: number, maxMs: number): number {
  return Math.random() * Math.min(maxMs, firstMs * 2 ** attempt);
}

/**
 * Calls `action` until it succeeds or throws what `isTransient` does not accept. Waits with jitter in between; ends with
 * the last error when `signal` aborts.
 */
export async function retrying<T>(
  action: () => Promise<T>,
  isTransient: (error: unknown) => boolean,
  signal: AbortSignal,
  onRetry: (error: unknown) => void,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error;
      onRetry(error);
      await sleep(50 + backoffMs(attempt, 200, 5_000), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) throw error;
    }
  }
}
