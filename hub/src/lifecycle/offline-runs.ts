import { type RawBuilder, sql } from 'kysely';
import type { RunRow } from '../db/schema.ts';
import { failRun } from './attempt-end.ts';
import { dbNow } from './clock.ts';
import { eachRun, type Reconciling, runsPerRound } from './reconciling.ts';
import { isEnded, type RunFence } from './states.ts';

/**
 * Fails runs that wait for one worker which has been away, or unable to do them, for too long; their snapshot is only there.
 * Connection tests and listings fail as well when their pool has had no worker that can do them for so long: somebody waits for
 * the answer. Other runs of a pool go on waiting.
 */
export async function failRunsWithoutWorker(deps: Reconciling): Promise<void> {
  const limit = dbNow(-deps.settings.workerOfflineLimitMs);
  const isWaiting = sql`greatest(runs.queued_at, runs.not_before) < ${limit}`;
  const stranded = await find(
    deps,
    sql<boolean>`
    runs.required_worker_id is not null and ${isWaiting} and not exists (
      select from workers where workers.id = runs.required_worker_id and workers.last_seen_at > ${limit})`,
  );
  await fail(deps, stranded, 'WORKER_OFFLINE', (run) => `worker ${run.required_worker_id} did not come back`);
  // What a worker can do is said when it registers.
  const incapable = await find(
    deps,
    sql<boolean>`
    runs.required_worker_id is not null and ${isWaiting} and exists (
      select from workers where workers.id = runs.required_worker_id and workers.registered_at < ${limit}
        and workers.last_seen_at > ${limit} and not workers.capabilities @> to_jsonb(runs.kind))`,
  );
  await fail(deps, incapable, 'NO_CAPABLE_WORKER', (run) => `worker ${run.required_worker_id} cannot do this`);
  const unserved = await find(
    deps,
    sql<boolean>`
    runs.required_worker_id is null and runs.slot = 'control' and runs.queued_at < ${limit} and not exists (
      select from workers where workers.pool = runs.pool and workers.last_seen_at > ${limit}
        and (workers.registered_at > ${limit} or workers.capabilities @> to_jsonb(runs.kind)))`,
  );
  await fail(deps, unserved, 'NO_CAPABLE_WORKER', (run) => `pool ${run.pool} has no worker that can do this`);
}

async function fail(
  deps: Reconciling,
  runs: readonly RunFence[],
  code: 'WORKER_OFFLINE' | 'NO_CAPABLE_WORKER',
  detailOf: (run: RunRow) => string,
): Promise<void> {
  await eachRun(deps, runs, async (trx, run) => {
    if (run.status === 'running' || isEnded(run.status)) return;
    await failRun(trx, run, { code, detail: detailOf(run) });
  });
}

async function find({ db }: Reconciling, condition: RawBuilder<boolean>): Promise<RunFence[]> {
  return db
    .selectFrom('runs')
    .select(['id', 'epoch'])
    .where('status', 'in', ['queued', 'dispatched'])
    .where(condition)
    .limit(runsPerRound)
    .execute();
}
