import { sql } from 'kysely';
import type { RunRow } from '../db/schema.ts';
import { laneOf, putInOutbox } from './admission.ts';
import { failAttempt, putBackAttempt } from './attempt-end.ts';
import { dbNow } from './clock.ts';
import { isWithoutWorker } from './fleet.ts';
import { eachRun, type Reconciling, runsPerRound } from './reconciling.ts';

/** When Redis lost everything (its mark is gone): all dispatched runs get their tickets again. Running ones need none. */
export async function restoreLostTickets({ db, lanes, logger }: Reconciling): Promise<void> {
  if (await lanes.hasGeneration()) return;
  const dispatched = await db
    .selectFrom('runs')
    .select(['id', 'pool', 'worker_id', 'required_worker_id', 'attempt', 'kind'])
    .where('status', '=', 'dispatched')
    .execute();
  const count = (await putInOutbox(db, dispatched)).length;
  // After the rows: a crash before this line only makes it happen again.
  await lanes.markGeneration();
  if (count > 0) logger.warn({ count }, 'Redis came back empty; tickets of dispatched runs are added again');
}

/** Looks for the tickets of runs that no worker has started for long: a lost one is added again, a used one means another attempt. */
export async function lookForTickets(deps: Reconciling): Promise<void> {
  const waiting = await ticketed(deps)
    .where('dispatched_at', '<', dbNow(-deps.settings.dispatchedTimeoutMs))
    .orderBy('dispatched_at')
    .limit(runsPerRound)
    .execute();
  await putTicketsRight(deps, waiting);
}

/** The same at once for runs whose tickets are said to have failed. */
export async function lookAtTickets(deps: Reconciling, runIds: readonly string[]): Promise<void> {
  if (runIds.length === 0) return;
  const isOneOf = sql<string>`any(${runIds}::text[])`;
  await putTicketsRight(deps, await ticketed(deps).where('id', '=', isOneOf).execute());
}

function ticketed({ db }: Reconciling) {
  return db
    .selectFrom('runs')
    .select(['id', 'epoch', 'attempt', 'kind', 'pool', 'worker_id', 'required_worker_id'])
    .where('status', '=', 'dispatched')
    .where((eb) => eb.not(eb.exists(eb.selectFrom('outbox').select('id').whereRef('outbox.run_id', '=', 'runs.id'))));
}

type Ticketed = Pick<RunRow, 'id' | 'epoch' | 'attempt' | 'kind' | 'pool' | 'worker_id' | 'required_worker_id'>;

async function putTicketsRight(deps: Reconciling, waiting: readonly Ticketed[]): Promise<void> {
  const { db, lanes, settings, logger } = deps;
  const missing: Ticketed[] = [];
  const used: Ticketed[] = [];
  for (const run of waiting) {
    if (deps.signal.aborted) return;
    const state = await lanes.state(laneOf(run), { runId: run.id, attempt: run.attempt });
    if (state === 'missing') missing.push(run);
    if (state === 'ended') used.push(run);
  }
  await putInOutbox(db, missing);
  await eachRun(deps, used, async (trx, run) => {
    if (run.status !== 'dispatched') return;
    const detail = `the ticket of attempt ${run.attempt} was used up without a start`;
    const ended = await failAttempt(trx, run, { code: 'WORKER_LOST', detail }, settings, { told: false });
    logger.warn({ runId: run.id, attempt: run.attempt, status: ended.status }, 'ticket used up without a start');
  });
}

/** Takes back what waits in a lane that no worker takes tickets from now: they are silent or draining. */
export async function recallTickets(deps: Reconciling): Promise<void> {
  const runs = await deps.db
    .selectFrom('runs')
    .select(['id', 'epoch'])
    .where('status', '=', 'dispatched')
    .where(isWithoutWorker(deps.settings))
    .limit(runsPerRound)
    .execute();
  await eachRun(deps, runs, async (trx, run) => {
    if (run.status === 'dispatched') await putBackAttempt(trx, run);
  });
}
