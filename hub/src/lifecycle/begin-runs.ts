import { sql, type Transaction } from 'kysely';
import type { Database, RunRow, WorkerRow } from '../db/schema.ts';
import { tellRuns } from '../notify.ts';
import { dbNow } from './clock.ts';
import { hubEvent } from './hub-event.ts';

/** A locked dispatched run, and who begins it. */
export interface Beginning {
  readonly run: RunRow;
  readonly worker: Pick<WorkerRow, 'id' | 'host'>;
  readonly tokenHash: string;
  /** The id of the snapshot that a backup is to make. */
  readonly snapshotId: string | null;
}

/**
 * From dispatched to running, with attempts, events and notifications, in one statement for at most a hundred runs. Gives those
 * that changed, as they are now.
 */
export async function beginRuns(
  trx: Transaction<Database>,
  beginnings: readonly Beginning[],
  leaseMs: number,
): Promise<Map<string, RunRow>> {
  if (beginnings.length === 0) return new Map();
  const rows = beginnings.map(({ run, worker, tokenHash, snapshotId }) => ({
    id: run.id,
    epoch: run.epoch,
    by: worker.id,
    host: worker.host,
    token_hash: tokenHash,
    snapshot: snapshotId,
  }));
  const { type, level, code, message_id } = hubEvent('run_started');
  const result = await sql<RunRow & { readonly told: unknown }>`
    with item as (
      select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as item(
        id text, epoch int, by text, host text, token_hash text, snapshot text)),
    begun as (
      update runs set
        status = 'running', worker_id = item.by, worker_host = item.host, lease_token_hash = item.token_hash,
        lease_expires_at = ${dbNow(leaseMs)}, heartbeat_at = now(), started_at = coalesce(runs.started_at, now()),
        pending_snapshot_id = item.snapshot, worker_seq = 0, event_count = runs.event_count + 1,
        progress_pct = null, bytes_total = null, bytes_transferred = 0, objects_total = null, objects_transferred = 0,
        speed_bytes_per_sec = 0, eta_seconds = null, current_item = null
      from item where runs.id = item.id and runs.epoch = item.epoch and runs.status = 'dispatched'
      returning runs.*),
    attempt as (
      update run_attempts set
        worker_id = begun.worker_id, started_at = now(), lease_token_hash = begun.lease_token_hash,
        snapshot_id = begun.pending_snapshot_id
      from begun where run_attempts.run_id = begun.id and run_attempts.epoch = begun.epoch),
    event as (
      insert into run_events (run_id, id, ts, type, level, code, message_id, params)
      select id, event_count, clock_timestamp(), ${type}, ${level}, ${code}, ${message_id},
        jsonb_build_object('attempt', attempt) from begun)
    select begun.*, ${tellRuns(sql`select id from begun`)} as told from begun
  `.execute(trx);
  return new Map(result.rows.map(({ told: _, ...run }) => [run.id, run]));
}
