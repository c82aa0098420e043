import type { Logger } from '@xvault/shared/logging.ts';
import type { ExportShelf } from './downloads/export-shelf.ts';
import type { RestoreJournal } from './engines/archive/restore-journal.ts';
import { sweepRunDirectories } from './engines/sync/rclone/sweep-run-directories.ts';
import { type SweeperDeps, sweepStorage } from './storage/sweeper.ts';

export interface SweepingDeps extends SweeperDeps {
  readonly shelf: ExportShelf;
  readonly journal: RestoreJournal;
  readonly intervalMs: number;
  readonly logger: Logger;
}

/** After an attempt left litter, the Hub needs a moment to write that attempt off. */
const soonMs = 3_000;

/** Sweeps run directories, storage and exports: at start, at intervals, and soon after something may have left litter; one at a time. */
export class Sweeping {
  readonly #deps: SweepingDeps;
  #timer: NodeJS.Timeout | null = null;
  #dueAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor(deps: SweepingDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#schedule(0);
  }

  soon(): void {
    this.#schedule(soonMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(delayMs: number): void {
    const dueAtMs = performance.now() + delayMs;
    if (this.#stopped || dueAtMs >= this.#dueAtMs) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#dueAtMs = dueAtMs;
    this.#timer = setTimeout(() => this.#fire(), delayMs);
  }

  #fire(): void {
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    if (this.#running) {
      this.#schedule(soonMs);
      return;
    }
    this.#running = this.#sweep().finally(() => {
      this.#running = null;
      this.#schedule(this.#deps.intervalMs);
    });
  }

  async #sweep(): Promise<void> {
    try {
      // First: it may hold a token, and does not wait for the Hub.
      const runs = await sweepRunDirectories();
      if (runs > 0) this.#deps.logger.warn({ runs }, 'removed the directories of runs whose worker was killed');
      const parts = await sweepStorage(this.#deps);
      const restores = await this.#deps.journal.sweep(Date.now());
      // Last: some are in buckets, which may be away.
      const exports = await this.#deps.shelf.sweep(Date.now());
      if (parts + exports + restores > 0)
        this.#deps.logger.info({ parts, exports, restores }, 'sweep removed leftovers');
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'sweep not finished; it will be tried again');
    }
  }
}
