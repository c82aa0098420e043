import type { Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { failAttempt, putBackAttempt } from './attempt-end.ts';
import type { LifecycleSettings } from './settings.ts';

/** The process that carried these runs out is gone for certain: nobody need wait for the ends of its leases. */
export async function giveUpRunsOf(
  trx: Transaction<Database>,
  workerId: string,
  settings: LifecycleSettings,
): Promise<void> {
  const detail = `worker ${workerId} was started again`;
  for (const run of await lockRunsOf(trx, workerId, 'running')) {
    await failAttempt(trx, run, { code: 'WORKER_LOST', detail }, settings, { told: false });
  }
}

/** What waits in the lane of this worker goes back to the queue. */
export async function recallTicketsOf(trx: Transaction<Database>, workerId: string): Promise<void> {
  for (const run of await lockRunsOf(trx, workerId, 'dispatched')) await putBackAttempt(trx, run);
}

function lockRunsOf(trx: Transaction<Database>, workerId: string, status: 'dispatched' | 'running'): Promise<RunRow[]> {
  return trx
    .selectFrom('runs')
    .selectAll()
    .where('status', '=', status)
    .where((eb) => eb(eb.fn.coalesce('worker_id', 'required_worker_id'), '=', workerId))
    .orderBy('id')
    .forUpdate()
    .execute();
}
