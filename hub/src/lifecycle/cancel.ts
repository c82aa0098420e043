import { XVaultError } from '@xvault/shared/errors.ts';
import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, RunRow } from '../db/schema.ts';
import { notifyRuns } from '../notify.ts';
import { endRun } from './attempt-end.ts';
import { dbNow } from './clock.ts';
import { appendHubEvents } from './events.ts';
import { hubEvent } from './hub-event.ts';
import { isEnded, lockRun } from './states.ts';

/**
 * Asks a tenant's run to stop: at once where no worker carries it out, else with that worker's next heartbeat. Again is no
 * error. Throws NOT_FOUND, or RUN_NOT_CANCELLABLE when it ended otherwise.
 */
export async function cancelRun(db: Kysely<Database>, actor: Actor, tenantId: string, runId: string): Promise<RunRow> {
  return db.transaction().execute(async (trx) => {
    const run = await lockRun(trx, runId);
    if (run === undefined || run.tenant_id !== tenantId) throw new XVaultError('NOT_FOUND');
    if (run.status === 'cancelled') return run;
    if (isEnded(run.status)) throw new XVaultError('RUN_NOT_CANCELLABLE');
    if (run.status === 'running' && run.cancel_requested_at !== null) return run;
    await writeAudit(trx, actor, { tenantId, action: 'run.cancel', objectType: 'run', objectId: runId });
    if (run.status !== 'running') {
      return endRun(trx, run, 'cancelled', { outcome: 'cancelled', told: false }, { cancel_requested_at: dbNow() });
    }
    await appendHubEvents(trx, run.id, [hubEvent('run_cancel_requested')]);
    await notifyRuns(trx, [run.id]);
    return trx
      .updateTable('runs')
      .set({ cancel_requested_at: dbNow() })
      .where('id', '=', run.id)
      .returningAll()
      .executeTakeFirstOrThrow();
  });
}

/**
 * Ends a tenant's run now, whatever its worker says: that one hears that it is no longer its own and stops. Throws NOT_FOUND, or
 * RUN_NOT_CANCELLABLE when it ended otherwise.
 */
export async function forceCancelRun(
  db: Kysely<Database>,
  actor: Actor,
  tenantId: string,
  runId: string,
): Promise<RunRow> {
  return db.transaction().execute(async (trx) => {
    const run = await lockRun(trx, runId);
    if (run === undefined || run.tenant_id !== tenantId) throw new XVaultError('NOT_FOUND');
    if (run.status === 'cancelled') return run;
    if (isEnded(run.status)) throw new XVaultError('RUN_NOT_CANCELLABLE');
    await writeAudit(trx, actor, { tenantId, action: 'run.force_cancel', objectType: 'run', objectId: runId });
    const set = { cancel_requested_at: run.cancel_requested_at ?? dbNow() };
    return endRun(trx, run, 'cancelled', { outcome: 'cancelled', told: false }, set);
  });
}
