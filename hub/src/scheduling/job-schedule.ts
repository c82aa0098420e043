import type { Kysely } from 'kysely';
import type { Database } from '../db/schema.ts';
import { databaseNow } from './fires.repository.ts';
import { nextFire } from './next-fires.ts';
import type { Schedule } from './schedule.schema.ts';

/** When a job is next due, from now on; null when it does not fire by itself. */
export async function nextRunAt(db: Kysely<Database>, schedule: Schedule, jobId: string): Promise<Date | null> {
  return nextFire(schedule, await databaseNow(db), jobId)?.fireAt ?? null;
}
