import {
  clearOldChanges,
  clearOldListings,
  clearRunSecrets,
  deleteOldEvents,
  markSilentWorkers,
} from './housekeeping.ts';
import { failRunsWithoutWorker } from './offline-runs.ts';
import { reclaimLeases } from './reclaim-leases.ts';
import type { Reconciling } from './reconciling.ts';
import { retryDeletions } from './retry-deletions.ts';
import { lookForTickets, recallTickets, restoreLostTickets } from './tickets.ts';

/** Every few seconds: leases that are over, and tickets that Redis lost as a whole. */
export async function reconcileLeases(deps: Reconciling): Promise<void> {
  await eachStep(deps, [reclaimLeases, restoreLostTickets]);
}

/** Less often: single lost tickets, silent workers, runs that wait in vain, listings that nobody fetched, old events. */
export async function reconcileRest(deps: Reconciling): Promise<void> {
  await eachStep(deps, [
    markSilentWorkers,
    failRunsWithoutWorker,
    retryDeletions,
    recallTickets,
    lookForTickets,
    clearOldListings,
    clearOldChanges,
    clearRunSecrets,
    deleteOldEvents,
  ]);
}

/** A step that fails (Redis being away, say) does not keep the others from being done. */
async function eachStep(deps: Reconciling, steps: readonly ((deps: Reconciling) => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    if (deps.signal.aborted) break;
    try {
      await step(deps);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} steps of the reconciler failed`);
}
