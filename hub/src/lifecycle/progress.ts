import type { Progress } from '@xvault/shared/internal-api.ts';

/** What a run that begins anew has done so far. */
export const noProgress: Progress = {
  progress_pct: null,
  bytes_total: null,
  bytes_transferred: 0,
  objects_total: null,
  objects_transferred: 0,
  speed_bytes_per_sec: 0,
  eta_seconds: null,
  current_item: null,
};
