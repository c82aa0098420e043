import type { Progress, StartResponse } from '@xvault/shared/internal-api.ts';
import { RunStopped, type StopCause } from './abort.ts';
import { EventBuffer } from './event-buffer.ts';
import { RunBandwidth } from './run-bandwidth.ts';

/** One attempt that this worker is carrying out: its lease, its signal, and what it has to tell the Hub. */
export class ActiveRun {
  readonly start: StartResponse;
  readonly events: EventBuffer;
  readonly bandwidth: RunBandwidth;
  readonly #controller = new AbortController();
  /** Monotonic time (ms) after which the Hub may have given the run away. */
  #leaseEndsAtMs: number;
  #progress: Progress | null = null;

  /** @param requestedAtMs monotonic time before the start request was sent: the lease cannot have begun earlier. */
  constructor(start: StartResponse, requestedAtMs: number, eventCap: number) {
    this.start = start;
    this.events = new EventBuffer(eventCap);
    this.bandwidth = new RunBandwidth(start.bandwidth_limit_bps);
    this.#leaseEndsAtMs = requestedAtMs + start.lease_ms;
  }

  get runId(): string {
    return this.start.run_id;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get leaseEndsAtMs(): number {
    return this.#leaseEndsAtMs;
  }

  get progress(): Progress | null {
    return this.#progress;
  }

  report(progress: Progress): void {
    this.#progress = progress;
  }

  extendLease(sentAtMs: number): void {
    this.#leaseEndsAtMs = Math.max(this.#leaseEndsAtMs, sentAtMs + this.start.lease_ms);
  }

  /** The first cause wins. */
  stop(cause: StopCause): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(new RunStopped(cause));
  }
}
