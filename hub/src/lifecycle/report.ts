import type { FinishRequest } from '@xvault/shared/internal-api.ts';
import type { Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { findCapped, insertEvents, planWorkerEvents } from './events.ts';
import { toPgText } from './pg-text.ts';
import type { LifecycleSettings } from './settings.ts';

/** Stores the last progress and events that come with a finish; gives the row as it then is. */
export async function storeReport(
  trx: Transaction<Database>,
  run: RunRow,
  { progress, events }: Pick<FinishRequest, 'progress' | 'events'>,
  { eventMaxPerRun }: Pick<LifecycleSettings, 'eventMaxPerRun'>,
): Promise<RunRow> {
  const capped = await findCapped(trx, run.event_count > eventMaxPerRun ? [run.id] : [], eventMaxPerRun);
  const state = { runId: run.id, count: run.event_count, workerSeq: run.worker_seq, capped: capped.has(run.id) };
  const plan = planWorkerEvents(state, events, eventMaxPerRun);
  await insertEvents(trx, plan.rows);
  const item = progress?.current_item ?? null;
  return trx
    .updateTable('runs')
    .set({
      ...progress,
      ...(progress === null ? {} : { current_item: item === null ? null : toPgText(item) }),
      event_count: plan.count,
      worker_seq: plan.workerSeq,
    })
    .where('id', '=', run.id)
    .returningAll()
    .executeTakeFirstOrThrow();
}
