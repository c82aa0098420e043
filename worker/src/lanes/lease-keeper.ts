import { loadavg } from 'node:os';
import { assertNever } from '@xvault/shared/errors.ts';
import type { HeartbeatRequest, HeartbeatResponse, RegisterResponse } from '@xvault/shared/internal-api.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import type { ActiveRun } from './active-run.ts';
import type { HubClient } from './hub-client.ts';

export interface LeaseKeeperDeps {
  readonly hub: HubClient;
  readonly workerId: string;
  readonly settings: RegisterResponse;
  readonly logger: Logger;
  readonly slotsInUse: () => number;
  readonly diskFreeBytes: () => Promise<number>;
  /** What the Hub says with each heartbeat: whether this worker is to take no tickets. */
  readonly onDrain: (drain: boolean) => void;
}

/** A run is stopped this long before its lease could end, so that its children are gone by then. */
const leaseMarginMs = 10_000;
const longestBeatMs = 10_000;
const eventsPerHeartbeat = 500;

/** An answer that comes later than this is given up, so that there is time to ask again within the shortest lease. */
export function beatTimeoutMs(runs: readonly { readonly start: { readonly lease_ms: number } }[]): number {
  return Math.min(longestBeatMs, ...runs.map(({ start }) => start.lease_ms / 3));
}

/** One heartbeat for all the runs of this worker; stops those that are cancelled, given away, or whose lease is running out. */
export class LeaseKeeper {
  readonly #deps: LeaseKeeperDeps;
  readonly #runs = new Map<string, ActiveRun>();
  #timer: NodeJS.Timeout | null = null;
  #watchdog: NodeJS.Timeout | null = null;
  #beating: Promise<void> | null = null;
  #stopped = false;

  constructor(deps: LeaseKeeperDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#watchdog = setInterval(() => this.#stopRunsOutOfLease(), 500);
    this.#schedule(0);
  }

  add(run: ActiveRun): void {
    this.#runs.set(run.runId, run);
    this.#schedule(this.#deps.settings.heartbeat_active_ms);
  }

  remove(run: ActiveRun): void {
    if (this.#runs.get(run.runId) === run) this.#runs.delete(run.runId);
  }

  get runs(): readonly ActiveRun[] {
    return [...this.#runs.values()];
  }

  /** Beats at once: for when something hints that the Hub has news. */
  beatNow(): void {
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    if (this.#watchdog) clearInterval(this.#watchdog);
    await this.#beating;
  }

  #schedule(delayMs: number): void {
    if (this.#stopped || this.#beating) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#beating = this.#beat().finally(() => {
        this.#beating = null;
        this.#schedule(this.#nextDelayMs());
      });
    }, delayMs);
  }

  #nextDelayMs(): number {
    const { heartbeat_active_ms, heartbeat_idle_ms } = this.#deps.settings;
    return this.runs.length > 0 ? heartbeat_active_ms : heartbeat_idle_ms;
  }

  async #beat(): Promise<void> {
    const sentAtMs = performance.now();
    const runs = this.runs;
    try {
      const answer = await this.#deps.hub.heartbeat(await this.#request(runs), beatTimeoutMs(runs));
      this.#apply(runs, answer, sentAtMs);
    } catch (error) {
      this.#deps.logger.warn({ err: error, runs: runs.length }, 'heartbeat failed; trying again');
    }
  }

  async #request(runs: readonly ActiveRun[]): Promise<HeartbeatRequest> {
    return {
      worker_id: this.#deps.workerId,
      slots_in_use: this.#deps.slotsInUse(),
      load_1m: loadavg()[0] ?? 0,
      disk_free_bytes: await this.#deps.diskFreeBytes(),
      runs: runs.map((run) => ({
        run_id: run.runId,
        epoch: run.start.epoch,
        lease_token: run.start.lease_token,
        progress: run.progress,
        events: run.events.batch(eventsPerHeartbeat),
      })),
    };
  }

  #apply(runs: readonly ActiveRun[], answer: HeartbeatResponse, sentAtMs: number): void {
    const answers = new Map(answer.runs.map((item) => [item.run_id, item]));
    for (const run of runs) {
      const item = answers.get(run.runId);
      if (!item) continue;
      run.events.storedTo(item.events_stored_to);
      if (item.bandwidth_limit_bps !== undefined) run.bandwidth.set(item.bandwidth_limit_bps);
      switch (item.action) {
        case 'continue':
          run.extendLease(sentAtMs);
          break;
        case 'cancel':
          run.extendLease(sentAtMs);
          run.stop('cancelled');
          break;
        case 'superseded':
          run.stop('superseded');
          break;
        default:
          assertNever(item.action);
      }
    }
    this.#deps.onDrain(answer.drain);
  }

  #stopRunsOutOfLease(): void {
    const nowMs = performance.now();
    for (const run of this.runs) {
      if (nowMs < run.leaseEndsAtMs - Math.min(leaseMarginMs, run.start.lease_ms / 3)) continue;
      if (!run.signal.aborted) this.#deps.logger.error({ runId: run.runId }, 'lease is running out; stopping the run');
      run.stop('lease_lost');
    }
  }
}
