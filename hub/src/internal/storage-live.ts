import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/schema.ts';

export interface StoredItem {
  readonly snapshot_id: string;
  /** Of a part; null for a published directory. */
  readonly epoch: number | null;
}

/**
 * Which of the items in a worker's storage are litter: what the Hub itself once had this worker write, in an attempt that
 * has ended, without a snapshot to show for it (or with a deleted one). An id that the database does not know is left
 * alone: the database may be older than the storage. Without a worker, in a bucket, what any of them wrote.
 */
export async function findRemovable(
  db: Kysely<Database>,
  workerId: string | null,
  items: readonly StoredItem[],
): Promise<StoredItem[]> {
  if (items.length === 0) return [];
  const { rows } = await sql<StoredItem>`
    select item.snapshot_id, item.epoch
    from jsonb_to_recordset(${JSON.stringify(items)}::jsonb) as item(snapshot_id text, epoch int)
    where exists (
        select from run_attempts attempt
        where attempt.snapshot_id = item.snapshot_id and (attempt.worker_id = ${workerId} or ${workerId === null})
          and attempt.ended_at is not null and (item.epoch is null or attempt.epoch = item.epoch))
      and not exists (
        select from run_attempts attempt
        join runs on runs.id = attempt.run_id and runs.epoch = attempt.epoch
        where attempt.snapshot_id = item.snapshot_id and runs.status in ('dispatched', 'running'))
      and not exists (
        select from snapshots where snapshots.id = item.snapshot_id and snapshots.status <> 'deleted')
      -- A copy that was made for other keys bears the id of its attempt; a run of its own removes what it replaced.
      and not exists (
        select from run_attempts attempt
        join runs on runs.id = attempt.run_id and runs.kind = 'maintenance'
        join snapshots on snapshots.id = runs.snapshot_id and snapshots.status <> 'deleted'
        where attempt.snapshot_id = item.snapshot_id and attempt.outcome = 'completed')
  `.execute(db);
  return rows;
}
