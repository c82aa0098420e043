import type { Logger } from '@xvault/shared/logging.ts';
import type { Kysely, Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import type { Lanes } from '../queues/lanes.ts';
import type { LifecycleSettings } from './settings.ts';
import { lockRun, type RunFence } from './states.ts';

export interface Reconciling {
  readonly db: Kysely<Database>;
  readonly lanes: Lanes;
  readonly settings: LifecycleSettings;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Runs handled in one round; more than that wait for the next. */
export const runsPerRound = 500;

/**
 * Does something to each run in a transaction of its own, with its row locked, if it still is under the same epoch. One
 * run that cannot be handled does not hold up the others.
 */
export async function eachRun(
  { db, logger, signal }: Reconciling,
  runs: readonly RunFence[],
  handle: (trx: Transaction<Database>, run: RunRow) => Promise<void>,
): Promise<void> {
  for (const { id, epoch } of runs) {
    if (signal.aborted) return;
    try {
      await db.transaction().execute(async (trx) => {
        const run = await lockRun(trx, id);
        if (run?.epoch === epoch) await handle(trx, run);
      });
    } catch (error) {
      logger.error({ err: error, runId: id }, 'a run could not be put right');
    }
  }
}
