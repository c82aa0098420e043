import { performance } from 'node:perf_hooks';
import type { Progress } from '@xvault/shared/internal-api.ts';
import { pathToText } from '../../artifact/path-text.ts';
import type { Measure, SourceEntry } from '../../connectors/connector.ts';

/** Speed is that of about the last five seconds. */
const speedWindowMs = 5000;
const sampleEveryMs = 500;
const maxItemLength = 1024;
/** Only a published snapshot is complete. */
const maxPctBeforeEnd = 99.99;

interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

/** Counts what a backup has done and makes reports of it. */
export class BackupProgress {
  readonly #onProgress: (progress: Progress) => void;
  #total: Measure | undefined;
  #transferredBytes = 0;
  /** Listed sizes of the files that are done, skipped ones included: this is what the percentage is made of. */
  #doneBytes = 0;
  #doneFiles = 0;
  #currentBytes = 0;
  /** A copy: paths are views of memory that is used again. */
  #currentItem: Buffer | undefined;
  #pct = 0;
  #completed = false;
  #samples: Sample[] = [{ atMs: performance.now(), bytes: 0 }];

  constructor(onProgress: (progress: Progress) => void) {
    this.#onProgress = onProgress;
  }

  measured(total: Measure): void {
    this.#total = total;
  }

  unmeasurable(): void {
    this.#total = undefined;
  }

  fileBegins(entry: SourceEntry): void {
    this.#currentItem = Buffer.from(entry.path);
  }

  bytes(count: number): void {
    this.#transferredBytes += count;
    this.#currentBytes += count;
  }

  fileDone(entry: SourceEntry): void {
    this.#doneBytes += entry.sizeBytes;
    this.#doneFiles += 1;
    this.#currentBytes = 0;
  }

  /** Many files at once: how many, what was listed of them, and what came. */
  filesDone(count: number, listedBytes: number, bytes: number, last: Buffer | undefined): void {
    this.#doneFiles += count;
    this.#doneBytes += listedBytes;
    this.#transferredBytes += bytes;
    if (last !== undefined) this.#currentItem = Buffer.from(last);
  }

  report(): void {
    this.#onProgress(this.#progress());
  }

  /** The snapshot is published. */
  complete(): void {
    this.#completed = true;
    this.#currentItem = undefined;
    this.report();
  }

  #progress(): Progress {
    const doneBytes = this.#doneBytes + this.#currentBytes;
    const bytesTotal = this.#totalOf(this.#total?.totalBytes, Math.max(doneBytes, this.#transferredBytes));
    const objectsTotal = this.#totalOf(this.#total?.fileCount, this.#doneFiles);
    const speed = this.#speed();
    const left = bytesTotal === null ? null : bytesTotal - doneBytes;
    return {
      progress_pct: this.#percent(doneBytes, bytesTotal, objectsTotal),
      bytes_total: bytesTotal,
      bytes_transferred: this.#transferredBytes,
      objects_total: objectsTotal,
      objects_transferred: this.#doneFiles,
      speed_bytes_per_sec: speed,
      eta_seconds: this.#eta(left, speed),
      current_item: this.#currentItem === undefined ? null : itemText(this.#currentItem),
    };
  }

  /** What was counted before may be less than what has come since. */
  #totalOf(measured: number | undefined, done: number): number | null {
    if (this.#completed) return done;
    return measured === undefined ? null : Math.max(measured, done);
  }

  #percent(doneBytes: number, bytesTotal: number | null, objectsTotal: number | null): number | null {
    if (this.#completed) return 100;
    if (bytesTotal === null || objectsTotal === null) return null;
    const share = bytesTotal > 0 ? doneBytes / bytesTotal : this.#doneFiles / Math.max(objectsTotal, 1);
    this.#pct = Math.max(this.#pct, Math.min(Math.floor(share * 10_000) / 100, maxPctBeforeEnd));
    return this.#pct;
  }

  #eta(leftBytes: number | null, speed: number): number | null {
    if (this.#completed) return 0;
    return leftBytes === null || speed === 0 ? null : Math.ceil(leftBytes / speed);
  }

  /** Bytes a second over the window. */
  #speed(): number {
    const now = { atMs: performance.now(), bytes: this.#transferredBytes };
    const newest = this.#samples.at(-1) ?? now;
    if (now.atMs - newest.atMs >= sampleEveryMs) this.#samples.push(now);
    while (this.#samples.length > 1 && now.atMs - (this.#samples[1]?.atMs ?? now.atMs) > speedWindowMs) {
      this.#samples.shift();
    }
    const oldest = this.#samples[0] ?? now;
    const seconds = (now.atMs - oldest.atMs) / 1000;
    return seconds > 0 ? Math.round((now.bytes - oldest.bytes) / seconds) : 0;
  }
}

function itemText(path: Buffer): string {
  // The cut may go through a surrogate pair.
  return pathToText(path).slice(0, maxItemLength).toWellFormed();
}
