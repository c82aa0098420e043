import { sql } from 'kysely';
import { dbNow } from './clock.ts';
import type { Reconciling } from './reconciling.ts';
import { deleteLeftRunSecrets } from './run-secrets.ts';
import { probeResultKeptMs } from './settings.ts';

/** One that was draining stays so: it would come back as active otherwise. */
export async function markSilentWorkers({ db, settings, logger }: Reconciling): Promise<void> {
  const silent = await db
    .updateTable('workers')
    .set({ status: 'offline' })
    .where('status', '=', 'active')
    .where('last_seen_at', '<', dbNow(-settings.workerSilentMs))
    .returning('id')
    .execute();
  for (const { id } of silent) logger.warn({ workerId: id }, 'worker is silent');
}

/** Names of a customer's files are kept no longer than somebody may still fetch them. */
export async function clearOldListings({ db }: Reconciling): Promise<void> {
  await db
    .updateTable('runs')
    .set({ result: null })
    .where('kind', '=', 'probe')
    .where('result', 'is not', null)
    .where('finished_at', '<', dbNow(-probeResultKeptMs))
    .execute();
}

const changesKeptMs = 7 * 86_400_000;

/** So are the names that dry runs list; how many they were stays. */
export async function clearOldChanges({ db }: Reconciling): Promise<void> {
  await db
    .updateTable('runs')
    .set({ result: sql`result - 'changes'` })
    // Word for word what its index is for.
    .where(sql<boolean>`kind = 'restore' and result -> 'changes' <> '[]'::jsonb`)
    .where('finished_at', '<', dbNow(-changesKeptMs))
    .execute();
}

/** The end of a run takes its secret away; what is left all the same goes here. */
export async function clearRunSecrets({ db, logger }: Reconciling): Promise<void> {
  const count = await deleteLeftRunSecrets(db);
  if (count > 0) logger.warn({ count }, 'secrets of ended runs were left');
}

const eventsPerStatement = 5_000;
/** In one round; a backlog of more is worked off in the next ones. */
const statementsPerRound = 20;

/** Runs stay; what happened in them is kept for a limited time. */
export async function deleteOldEvents({ db, settings, signal }: Reconciling): Promise<void> {
  const before = dbNow(-settings.eventRetentionDays * 86_400_000);
  for (let count = 0; count < statementsPerRound && !signal.aborted; count += 1) {
    const { numAffectedRows } = await sql`
      delete from run_events using (
        select run_id, id from run_events where ts < ${before} order by ts limit ${eventsPerStatement}) as old
      where run_events.run_id = old.run_id and run_events.id = old.id
    `.execute(db);
    if (Number(numAffectedRows ?? 0) < eventsPerStatement) return;
  }
}
