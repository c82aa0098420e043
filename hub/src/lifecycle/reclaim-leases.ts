import { failAttempt } from './attempt-end.ts';
import { dbNow } from './clock.ts';
import { lostCode } from './lost-code.ts';
import { eachRun, type Reconciling, runsPerRound } from './reconciling.ts';

/**
 * Takes runs from workers whose lease has been over for longer than the grace: another attempt follows, or WORKER_LOST, with an
 * agent AGENT_OFFLINE.
 */
export async function reclaimLeases(deps: Reconciling): Promise<void> {
  const { db, settings, logger } = deps;
  const isOver = dbNow(-settings.leaseGraceMs);
  const runs = await db
    .selectFrom('runs')
    .select(['id', 'epoch'])
    .where('status', '=', 'running')
    .where('lease_expires_at', '<', isOver)
    .orderBy('lease_expires_at')
    .limit(runsPerRound)
    .execute();
  await eachRun(deps, runs, async (trx, run) => {
    // A heartbeat may have come while the row's lock was waited for.
    const still = await trx
      .selectFrom('runs')
      .select('id')
      .where('id', '=', run.id)
      .where('status', '=', 'running')
      .where('lease_expires_at', '<', isOver)
      .executeTakeFirst();
    if (still === undefined) return;
    const detail = `worker ${run.worker_id} (${run.worker_host}) last heard of ${run.heartbeat_at?.toISOString()}`;
    const code = await lostCode(trx, run.worker_id);
    const ended = await failAttempt(trx, run, { code, detail }, settings, { told: false });
    logger.warn({ runId: run.id, attempt: run.attempt, workerId: run.worker_id, status: ended.status }, 'lease over');
  });
}
