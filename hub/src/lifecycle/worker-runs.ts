import type { Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { failAttempt, putBackAttempt } from './attempt-end.ts';
import { lostCode } from './lost-code.ts';
import type { LifecycleSettings } from './settings.ts';

/** The process that carried these runs out is gone for certain: nobody need wait for the ends of its leases. */
export async function giveUpRunsOf(
  trx: Transaction<Database>,
  workerId: string,
  settings: LifecycleSettings,
): Promise<void> {
  const detail = `worker ${workerId} was started again`;
  const runs = await lockRunsOf(trx, workerId, 'running');
  if (runs.length === 0) return;
  const code = await lostCode(trx, workerId);
  for (const run of runs) {
    await failAttempt(trx, run, { code, detail }, settings, { told: false });
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
