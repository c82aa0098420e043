import { progress } from '@xvault/shared/internal-api.ts';
import { z } from 'zod';
import type { RunRow } from '../db/schema.ts';

const time = z.iso.datetime().nullable();

/** A run as the API shows it. */
export const runView = z
  .strictObject({
    id: z.string(),
    kind: z.string(),
    trigger: z.string(),
    status: z.enum(['queued', 'starting', 'running', 'success', 'warning', 'failed', 'cancelled']),
    job_id: z.string().nullable(),
    source_id: z.string().nullable(),
    /** The snapshot that was read or, once committed, made. */
    snapshot_id: z.string().nullable(),
    export_id: z.string().nullable(),
    priority: z.int(),
    attempt: z.int(),
    max_attempts: z.int(),
    worker_id: z.string().nullable(),
    /** Why a queued run waits, in words with figures. */
    wait_reason: z.string().nullable(),
    cancel_requested: z.boolean(),
    ...progress.shape,
    warnings: z.int(),
    error_code: z.string().nullable(),
    error_summary: z.string().nullable(),
    /** What the run found or made, by its kind; listings of files are given by their own route. */
    result: z.record(z.string(), z.unknown()).nullable(),
    validation_status: z.enum(['not_run', 'running', 'success', 'failed']),
    queued_at: z.iso.datetime(),
    started_at: time,
    finished_at: time,
    /** The rest is for operators of the platform only. */
    worker_host: z.string().nullable().optional(),
    error_detail: z.string().nullable().optional(),
    log_excerpt: z.string().nullable().optional(),
    diagnostics: z.record(z.string(), z.unknown()).nullable().optional(),
  })
  .meta({ id: 'Run' });
export type RunView = z.infer<typeof runView>;

const iso = (date: Date | null): string | null => date?.toISOString() ?? null;

export interface RunViewOptions {
  /** Adds what customers do not see. */
  readonly forOperator?: boolean;
  readonly waitReason?: string | undefined;
}

export function toRunView(row: RunRow, { forOperator = false, waitReason }: RunViewOptions = {}): RunView {
  return {
    id: row.id,
    kind: row.kind,
    trigger: row.trigger,
    status: row.status === 'dispatched' ? 'starting' : row.status,
    job_id: row.job_id,
    source_id: row.source_id,
    snapshot_id: row.snapshot_id,
    export_id: row.export_id,
    priority: row.priority,
    attempt: row.attempt,
    max_attempts: row.max_attempts,
    worker_id: row.worker_id,
    wait_reason: waitReason ?? null,
    cancel_requested: row.cancel_requested_at !== null,
    progress_pct: row.progress_pct,
    bytes_total: row.bytes_total,
    bytes_transferred: row.bytes_transferred,
    objects_total: row.objects_total,
    objects_transferred: row.objects_transferred,
    speed_bytes_per_sec: row.speed_bytes_per_sec,
    eta_seconds: row.eta_seconds,
    current_item: row.current_item,
    warnings: row.warnings,
    error_code: row.error_code,
    error_summary: row.error_summary,
    result: resultOf(row),
    validation_status: row.validation_status,
    queued_at: row.queued_at.toISOString(),
    started_at: iso(row.started_at),
    finished_at: iso(row.finished_at),
    ...(forOperator
      ? {
          worker_host: row.worker_host,
          error_detail: row.error_detail,
          log_excerpt: row.log_excerpt,
          diagnostics: row.diagnostics,
        }
      : {}),
  };
}

/** Without names of files, which routes of their own give. */
function resultOf(row: RunRow): RunView['result'] {
  if (row.result === null || isListing(row)) return null;
  const { changes: _, ...result } = row.result;
  return result;
}

function isListing(row: RunRow): boolean {
  const probe = row.kind === 'probe' ? (row.result?.probe as { type?: unknown } | undefined) : undefined;
  return probe?.type === 'files' || probe?.type === 'browse';
}
