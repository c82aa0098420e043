import type { Progress } from '@xvault/shared/internal-api.ts';
import type { Figures } from './figures.ts';
import type { JobStats } from './job.ts';

/** rclone's figures as a run's progress. Never 100 %: only the Hub's word ends a run. */
export function toProgress(stats: JobStats): Progress {
  const total = Math.max(stats.totalBytes, stats.bytes);
  const [current] = stats.transferring;
  return {
    progress_pct: total === 0 ? null : Math.min(99.99, Math.floor((stats.bytes / total) * 10_000) / 100),
    bytes_total: total,
    bytes_transferred: stats.bytes,
    objects_total: stats.totalTransfers,
    objects_transferred: stats.transfers,
    speed_bytes_per_sec: Math.max(0, Math.round(stats.speed)),
    eta_seconds: stats.eta === null ? null : Math.max(0, Math.ceil(stats.eta)),
    current_item: current === undefined ? null : current.name.slice(0, 1024).toWellFormed(),
  };
}

/** The last word on it: what was brought over, without what that took at the destination. */
export function atEnd({ transfers, bytes }: Figures, speed_bytes_per_sec: number): Progress {
  return {
    progress_pct: 99.99,
    bytes_total: bytes,
    bytes_transferred: bytes,
    objects_total: transfers,
    objects_transferred: transfers,
    speed_bytes_per_sec,
    eta_seconds: null,
    current_item: null,
  };
}
