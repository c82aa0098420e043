import type { Progress } from '@xvault/shared/internal-api.ts';
import type { RunKind } from '@xvault/shared/run-kinds.ts';
import type { RunContext } from './handler.ts';

type Reporting = Pick<RunContext<RunKind>, 'progress' | 'emit'>;

/**
 * Passes progress on: the newest always, as an event only when a whole per cent and `intervalMs` have gone by, so that
 * progress never crowds a long run's warnings out of its capped list of events.
 */
export function progressReporter(context: Reporting, intervalMs: number): (progress: Progress) => void {
  let lastPct = 0;
  let lastAtMs = performance.now();
  return (progress) => {
    context.progress(progress);
    const pct = Math.floor(progress.progress_pct ?? 0);
    const nowMs = performance.now();
    if (pct <= lastPct || pct >= 100 || nowMs - lastAtMs < intervalMs) return;
    lastPct = pct;
    lastAtMs = nowMs;
    context.emit({
      type: 'progress',
      level: 'info',
      code: 'PROGRESS',
      message_id: 'run_progress',
      params: {
        pct,
        bytes: progress.bytes_transferred,
        bytes_total: progress.bytes_total,
        speed_bytes_per_sec: progress.speed_bytes_per_sec,
        eta_seconds: progress.eta_seconds,
      },
    });
  };
}

/** How far something of a known size is. */
export interface Status {
  readonly filesDone: number;
  readonly filesTotal: number | null;
  readonly bytesDone: number;
  /** null while it is not known. */
  readonly bytesTotal: number | null;
  readonly currentItem: string | null;
}

/** The same for restores and validations, which count files and bytes. */
export function statusReporter(context: Reporting, intervalMs: number): (status: Status) => void {
  const report = progressReporter(context, intervalMs);
  const startedAtMs = performance.now();
  return (status) => {
    const seconds = (performance.now() - startedAtMs) / 1000;
    const speed = seconds > 0 ? Math.round(status.bytesDone / seconds) : 0;
    const left = status.bytesTotal === null ? null : Math.max(0, status.bytesTotal - status.bytesDone);
    report({
      progress_pct: percent(status.bytesDone, status.bytesTotal),
      bytes_total: status.bytesTotal,
      bytes_transferred: status.bytesDone,
      objects_total: status.filesTotal,
      objects_transferred: status.filesDone,
      speed_bytes_per_sec: speed,
      eta_seconds: left !== null && speed > 0 ? Math.ceil(left / speed) : null,
      current_item: status.currentItem?.slice(0, 1024).toWellFormed() ?? null,
    });
  };
}

/** Never 100: only the Hub's word ends a run. */
function percent(done: number, total: number | null): number | null {
  if (total === null) return null;
  return total === 0 ? 0 : Math.min(99.99, Math.floor((done / total) * 10_000) / 100);
}
