import type { FinishRequest } from '@xvault/shared/internal-api.ts';
import type { ResultOf } from '@xvault/shared/run-kinds.ts';
import { sql, type Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { tellRuns } from '../notify.ts';
import { endEvent } from './attempt-end.ts';
import { type EventRow, planWorkerEvents } from './events.ts';
import { toPgJson } from './pg-text.ts';
import { saveProbes } from './probe-result.ts';
import type { LifecycleSettings } from './settings.ts';

/** A locked running test or listing, and what its worker says of its good end. */
export interface ProbeEnd {
  readonly run: RunRow;
  readonly request: FinishRequest;
  readonly result: ResultOf<'probe'>;
}

/** Whether the end can be written together with others: nothing follows from it but its result. */
export function isPlainProbeEnd(
  run: RunRow,
  { outcome }: FinishRequest,
  { eventMaxPerRun }: Pick<LifecycleSettings, 'eventMaxPerRun'>,
): boolean {
  return (
    run.kind === 'probe' &&
    outcome.status === 'completed' &&
    outcome.result.kind === 'probe' &&
    run.event_count < eventMaxPerRun
  );
}

/** Ends at most a hundred of them, each as {@link completeRun} would, in one statement, and keeps what was seen of sources in another. */
export async function endProbes(
  trx: Transaction<Database>,
  ends: readonly ProbeEnd[],
  { eventMaxPerRun }: Pick<LifecycleSettings, 'eventMaxPerRun'>,
): Promise<Map<string, 'success' | 'warning'>> {
  if (ends.length === 0) return new Map();
  const planned = ends.map((end) => plan(end, eventMaxPerRun));
  const { rows } = await sql<{ id: string; status: 'success' | 'warning'; told: unknown }>`
    with item as (
      select * from jsonb_to_recordset(${toPgJson(planned.map(({ row }) => row))}::jsonb) as item(
        id text, epoch int, status text, warnings int, log_excerpt text, result jsonb, event_count int, worker_seq int,
        has_progress boolean, bytes_total bigint, bytes_transferred bigint, objects_total bigint,
        objects_transferred bigint, speed_bytes_per_sec bigint)),
    ended as (
      update runs set
        status = item.status, finished_at = now(), lease_token_hash = null, lease_expires_at = null,
        pending_snapshot_id = null, not_before = null, eta_seconds = null, current_item = null, progress_pct = 100,
        warnings = item.warnings, log_excerpt = item.log_excerpt, result = item.result,
        event_count = item.event_count, worker_seq = item.worker_seq,
        bytes_total = case when has_progress then item.bytes_total else runs.bytes_total end,
        bytes_transferred = coalesce(item.bytes_transferred, runs.bytes_transferred),
        objects_total = case when has_progress then item.objects_total else runs.objects_total end,
        objects_transferred = coalesce(item.objects_transferred, runs.objects_transferred),
        speed_bytes_per_sec = coalesce(item.speed_bytes_per_sec, runs.speed_bytes_per_sec)
      from item where runs.id = item.id and runs.epoch = item.epoch and runs.status = 'running'
      returning runs.id, runs.epoch, runs.status),
    attempt as (
      update run_attempts set ended_at = now(), outcome = 'completed', error_code = null, run_status = ended.status
      from ended where run_attempts.run_id = ended.id and run_attempts.epoch = ended.epoch),
    event as (
      insert into run_events (run_id, id, ts, type, level, code, message_id, params)
      select run_id, event.id, coalesce(ts, clock_timestamp()), type, level, code, message_id, params
      from jsonb_to_recordset(${toPgJson(planned.flatMap(({ events }) => events))}::jsonb) as event(
        run_id text, id int, ts timestamptz, type text, level text, code text, message_id text, params jsonb)
      join ended on ended.id = event.run_id),
    ticket as (delete from outbox using ended where outbox.run_id = ended.id),
    secret as (delete from run_secrets using ended where run_secrets.run_id = ended.id)
    select ended.id, ended.status, ${tellRuns(sql`select id from ended`)} as told from ended
  `.execute(trx);
  const ended = new Map(rows.map((row) => [row.id, row.status]));
  await saveProbes(
    trx,
    ends.filter(({ run }) => ended.has(run.id)),
  );
  return ended;
}

function plan({ run, request, result }: ProbeEnd, eventMaxPerRun: number) {
  const { outcome, progress } = request;
  const status: RunRow['status'] = outcome.warnings > 0 ? 'warning' : 'success';
  const state = { runId: run.id, count: run.event_count, workerSeq: run.worker_seq, capped: false };
  const reported = planWorkerEvents(state, request.events, eventMaxPerRun);
  const count = reported.count + 1;
  const last = endEvent({ status, warnings: outcome.warnings, error_code: null, error_summary: null });
  const events: EventRow[] = [...reported.rows, { run_id: run.id, id: count, ts: null, ...last }];
  const row = {
    ...progress,
    id: run.id,
    epoch: run.epoch,
    status,
    warnings: outcome.warnings,
    log_excerpt: outcome.log_excerpt,
    result,
    event_count: count,
    worker_seq: reported.workerSeq,
    has_progress: progress !== null,
  };
  return { row, events };
}
