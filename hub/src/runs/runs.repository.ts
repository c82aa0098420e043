import { type Kysely, sql } from 'kysely';
import { newestFirst } from '../db/newest-first.ts';
import type { Database, RunRow, RunStatus } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

export interface RunFilter {
  readonly jobId?: string | undefined;
  readonly sourceId?: string | undefined;
  readonly status?: RunStatus | undefined;
  readonly kind?: string | undefined;
}

export async function listRuns(
  db: Kysely<Database>,
  tenantId: string,
  filter: RunFilter,
  page: PageRequest,
): Promise<RunRow[]> {
  // Statuses stand in the statement so that the planner knows partial indexes to fit.
  let query = db.selectFrom('runs').selectAll().where('tenant_id', '=', tenantId);
  if (filter.jobId !== undefined) query = query.where('job_id', '=', filter.jobId);
  if (filter.sourceId !== undefined) query = query.where('source_id', '=', filter.sourceId);
  if (filter.status !== undefined) query = query.where('status', '=', sql.lit(filter.status));
  if (filter.kind !== undefined) query = query.where('kind', '=', filter.kind);
  return newestFirst(query, page).execute();
}

export async function getRun(db: Kysely<Database>, tenantId: string, runId: string): Promise<RunRow | undefined> {
  return db.selectFrom('runs').selectAll().where('tenant_id', '=', tenantId).where('id', '=', runId).executeTakeFirst();
}

export async function listAttempts(db: Kysely<Database>, tenantId: string, runId: string) {
  return db
    .selectFrom('run_attempts')
    .innerJoin('runs', 'runs.id', 'run_attempts.run_id')
    .select(['run_attempts.attempt', 'run_attempts.worker_id', 'run_attempts.admitted_at', 'run_attempts.started_at'])
    .select(['run_attempts.ended_at', 'run_attempts.outcome', 'run_attempts.error_code'])
    .where('runs.tenant_id', '=', tenantId)
    .where('run_attempts.run_id', '=', runId)
    .orderBy('run_attempts.epoch')
    .execute();
}

/** Events after `sinceId`, oldest first; times with microseconds. */
export async function listEvents(
  db: Kysely<Database>,
  tenantId: string,
  runId: string,
  { sinceId, limit }: { readonly sinceId: number; readonly limit: number },
) {
  return db
    .selectFrom('run_events')
    .innerJoin('runs', 'runs.id', 'run_events.run_id')
    .select(['run_events.id', 'run_events.type', 'run_events.level', 'run_events.code', 'run_events.message_id'])
    .select('run_events.params')
    .select(sql<string>`to_char(run_events.ts at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`.as('ts'))
    .where('runs.tenant_id', '=', tenantId)
    .where('run_events.run_id', '=', runId)
    .where('run_events.id', '>', sinceId)
    .orderBy('run_events.id')
    .limit(limit)
    .execute();
}
