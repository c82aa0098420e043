import type { RunProgress } from '../api/runs.ts';
import { formatBytes, formatSeconds, printable } from './format.ts';

/** Where progress goes: a terminal's line is drawn over, anything else gets a line now and then. */
export interface ProgressOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const barWidth = 24;
const plainEveryMs = 2_000;

export class ProgressBar {
  readonly #title: string;
  readonly #output: ProgressOutput;
  #lastPlainMs = Number.NEGATIVE_INFINITY;

  constructor(title: string, output: ProgressOutput) {
    this.#title = title;
    this.#output = output;
  }

  show(progress: RunProgress): void {
    if (this.#output.isTTY === true) {
      this.#output.write(`\r\u001b[K${renderProgress(this.#title, progress, this.#output.columns ?? 80)}`);
      return;
    }
    const now = performance.now();
    if (now - this.#lastPlainMs < plainEveryMs) return;
    this.#lastPlainMs = now;
    this.#output.write(`${renderProgress(this.#title, progress, 160)}\n`);
  }

  /** Takes the line back. */
  end(): void {
    if (this.#output.isTTY === true) this.#output.write('\r\u001b[K');
  }
}

/** One line: bar, per cent, bytes, speed, time left, current item; never wider than `columns`. */
export function renderProgress(title: string, progress: RunProgress, columns: number): string {
  const pct = progress.progress_pct;
  const filled = Math.round(((pct ?? 0) / 100) * barWidth);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`;
  const parts = [
    `${title} ${bar} ${pct === null ? ' --.-' : pct.toFixed(1).padStart(5)} %`,
    `${formatBytes(progress.bytes_transferred)}${progress.bytes_total === null ? '' : ` of ${formatBytes(progress.bytes_total)}`}`,
    `${formatBytes(progress.speed_bytes_per_sec)}/s`,
    progress.eta_seconds === null ? '' : `ETA ${formatSeconds(progress.eta_seconds)}`,
  ].filter((part) => part !== '');
  const line = parts.join('  ');
  const room = columns - line.length - 3;
  const item = progress.current_item === null ? '' : printable(progress.current_item, room);
  return (item === '' ? line : `${line}  ${item}`).slice(0, columns - 1);
}
