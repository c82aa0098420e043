import { type RawBuilder, sql } from 'kysely';
import { failRun } from './attempt-end.ts';
import { dbNow } from './clock.ts';
import { eachRun, type Reconciling, runsPerRound } from './reconciling.ts';
import { isEnded, type RunFence } from './states.ts';

/**
 * Fails runs whose worker has been away for too long; their snapshot is only there. Connection tests fail as well when
 * their pool has had no worker for so long: somebody waits for the answer. Other runs of a pool go on waiting.
 */
export async function failRunsWithoutWorker(deps: Reconciling): Promise<void> {
  const limit = dbNow(-deps.settings.workerOfflineLimitMs);
  const stranded = await find(
    deps,
    sql<boolean>`
    runs.required_worker_id is not null and not exists (
      select from workers where workers.id = runs.required_worker_id and workers.last_seen_at > ${limit})
    and greatest(runs.queued_at, runs.not_before) < ${limit}`,
  );
  await eachRun(deps, stranded, async (trx, run) => {
    if (run.status === 'running' || isEnded(run.status)) return;
    await failRun(trx, run, { code: 'WORKER_OFFLINE', detail: `worker ${run.required_worker_id} did not come back` });
  });
  const unserved = await find(
    deps,
    sql<boolean>`
    runs.required_worker_id is null and runs.slot = 'control' and not exists (
      select from workers where workers.pool = runs.pool and workers.last_seen_at > ${limit})
    and runs.queued_at < ${limit}`,
  );
  await eachRun(deps, unserved, async (trx, run) => {
    if (run.status === 'running' || isEnded(run.status)) return;
    await failRun(trx, run, { code: 'NO_CAPABLE_WORKER', detail: `pool ${run.pool} has no worker online` });
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
