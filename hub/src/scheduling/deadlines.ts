import type { Logger } from '@xvault/shared/logging.ts';
import type { Kysely, Transaction } from 'kysely';
import { writeAudit } from '../audit/audit.ts';
import type { Database, RunRow } from '../db/schema.ts';
import { appendHubEvents } from '../lifecycle/events.ts';
import { hubEvent } from '../lifecycle/hub-event.ts';
import { lockRun } from '../lifecycle/states.ts';
import { notifyRuns } from '../notify.ts';
import { databaseNow, type FireRow, lockOverdueFires, settleFire } from './fires.repository.ts';

const firesPerRound = 50;

/**
 * Looks at each fire whose start deadline has passed, once: a run that had not started by then gets an event and an entry in the audit
 * log. Gives how many alarms were raised and whether more fires wait.
 */
export async function raiseDeadlineAlarms(db: Kysely<Database>, logger: Logger, now?: Date) {
  const at = now ?? (await databaseNow(db));
  return db.transaction().execute(async (trx) => {
    const fires = await lockOverdueFires(trx, at, firesPerRound);
    let alarms = 0;
    for (const fire of fires) {
      const run = fire.run_id === null ? undefined : await lockRun(trx, fire.run_id);
      const isAlarm = run !== undefined && startedLate(run, fire);
      if (isAlarm) {
        await raise(trx, run, fire);
        logger.warn({ runId: run.id, jobId: fire.job_id }, 'a scheduled run has not started in time');
        alarms += 1;
      }
      await settleFire(trx, fire, isAlarm ? at : null);
    }
    return { alarms, more: fires.length === firesPerRound };
  });
}

function startedLate(run: RunRow, { start_deadline_at: deadline }: FireRow): boolean {
  if (deadline === null) return false;
  if (run.started_at !== null) return run.started_at > deadline;
  // Whoever cancels a run knows that it does not happen.
  return run.status !== 'cancelled';
}

async function raise(trx: Transaction<Database>, run: RunRow, fire: FireRow): Promise<void> {
  const deadlineMs = fire.start_deadline_at?.getTime() ?? 0;
  const minutes = Math.round((deadlineMs - fire.scheduled_for.getTime()) / 60_000);
  const scheduledFor = fire.scheduled_for.toISOString();
  await appendHubEvents(trx, run.id, [hubEvent('run_start_overdue', { minutes, scheduled_for: scheduledFor })]);
  await notifyRuns(trx, [run.id]);
  await writeAudit(
    trx,
    { userId: null, address: null },
    {
      tenantId: run.tenant_id,
      action: 'run.start_overdue',
      objectType: 'run',
      objectId: run.id,
      details: { job_id: fire.job_id, scheduled_for: scheduledFor, minutes },
    },
  );
}
