import { performance } from 'node:perf_hooks';

/** A limit that may change; null is none. */
export interface BandwidthLimit {
  readonly limitBps: number | null;
  /** Called after each change. Returns what ends that. */
  onChange(listener: () => void): () => void;
}

/** What may be saved up while nothing is transferred. */
const burstSeconds = 1;

/**
 * A token bucket in bytes. What was transferred is paid for afterwards, so that pieces of any size pass; the next one waits
 * until the debt is gone.
 */
export class Throttle {
  readonly #limit: () => number | null;
  #tokens = 0;
  /** All that was ever asked for. */
  #taken = 0;
  #filledAtMs = performance.now();
  #waiting = new Set<() => void>();

  /** @param limit bytes a second now; null for no limit. */
  constructor(limit: () => number | null) {
    this.#limit = limit;
  }

  /** The limit may have changed: who waits looks again. */
  changed(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Resolves when so many more bytes are within the limit. Throws the signal's reason. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#refill() === null) return;
    this.#tokens -= bytes;
    this.#taken += bytes;
    const mine = this.#taken;
    for (;;) {
      signal.throwIfAborted();
      const limit = this.#refill();
      // What others took later is theirs to wait for: so those who take side by side pass one after the other.
      const owed = -(this.#tokens + this.#taken - mine);
      if (limit === null || owed <= 0) return;
      await this.#pause((owed / limit) * 1000, signal);
    }
  }

  #refill(): number | null {
    const nowMs = performance.now();
    const limit = this.#limit();
    const earned = limit === null ? 0 : ((nowMs - this.#filledAtMs) / 1000) * limit;
    this.#filledAtMs = nowMs;
    // Without a limit nothing is owed and nothing saved.
    this.#tokens = limit === null ? 0 : Math.min(this.#tokens + earned, limit * burstSeconds);
    return limit;
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      // Looked at again after a second at most: what was earned before a change counts at the old rate.
      const timer = setTimeout(wake, Math.min(ms + 1, 1000));
      signal.addEventListener('abort', wake, { once: true });
      this.#waiting.add(wake);
    });
  }
}

/** The same chunks, no faster than the limit. */
export async function* throttled(
  chunks: AsyncIterable<Buffer>,
  throttle: Throttle,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    await throttle.take(chunk.length, signal);
    yield chunk;
  }
}
