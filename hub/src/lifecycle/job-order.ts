import { sql } from 'kysely';

const readers = ['restore', 'validation'];

/**
 * The job of a run (table `runs`) that reads or writes a sync job's place at its destination, where a job's versions share objects:
 * several may read it at once, exports among them; whoever writes to it is alone there. Null for all other runs.
 */
export const syncJobOf = sql<string | null>`(case
  when runs.kind in ('backup', 'restore', 'validation', 'retention')
    and coalesce(runs.spec ->> 'engine', runs.spec -> 'snapshot' ->> 'engine') = 'sync' then runs.job_id end)`;

/** Whether runs of these kinds may be at a sync job's place together. */
export function goTogether(a: string, b: string): boolean {
  return readers.includes(a) && readers.includes(b);
}

/**
 * A queued run (table `runs`) that another of its job goes before. A backup: one in flight, or one queued earlier; only a schedule
 * queues a second backup of a job, the API refuses it. One of the sync engine: whatever is in flight and cannot go together with it.
 * Written so that the index of runs that have not ended serves it.
 */
export const heldByItsJob = sql<boolean>`(exists (
  select from runs as other
  where other.job_id = runs.job_id and other.status in ('queued', 'dispatched', 'running') and other.id <> runs.id
    and (runs.kind = 'backup' and other.kind = 'backup' and (other.status <> 'queued' or other.id < runs.id)
        and 'schedule' in (runs.trigger, other.trigger)
      or other.status <> 'queued' and other.kind in ('backup', 'restore', 'validation', 'retention')
        and not (runs.kind = any(${readers}::text[]) and other.kind = any(${readers}::text[])) and ${syncJobOf} is not null)))`;
