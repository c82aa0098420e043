import { sql } from 'kysely';

/**
 * A queued backup (table `runs`) that another of its job goes before: one in flight, or one queued earlier. Only a schedule queues a
 * second backup of a job; the API refuses it. Written so that the index of runs that have not ended serves it.
 */
export const heldByItsJob = sql<boolean>`(exists (
  select from runs as other
  where runs.kind = 'backup' and other.job_id = runs.job_id and other.status in ('queued', 'dispatched', 'running')
    and other.kind = 'backup' and other.id <> runs.id and (other.status <> 'queued' or other.id < runs.id)
    and 'schedule' in (runs.trigger, other.trigger)))`;
