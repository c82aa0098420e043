import { sql, type Transaction, type UpdateObject } from 'kysely';
import type { Database, RunRow, RunStatus } from '../db/schema.ts';
import { notifyRuns } from '../notify.ts';

/** Which status may follow which. What ended never changes again. */
export const legalTransitions: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  queued: ['dispatched', 'failed', 'cancelled'],
  dispatched: ['running', 'queued', 'failed', 'cancelled'],
  running: ['success', 'warning', 'failed', 'cancelled', 'queued'],
  success: [],
  warning: [],
  failed: [],
  cancelled: [],
};

export const inFlightStatuses = ['dispatched', 'running'] as const satisfies readonly RunStatus[];

export function isEnded(status: RunStatus): boolean {
  return legalTransitions[status].length === 0;
}

/** A run as it was when the decision was made; the transition happens only if it still is so. */
export interface RunFence {
  readonly id: string;
  readonly epoch: number;
}
type RunChanges = Omit<UpdateObject<Database, 'runs'>, 'id' | 'status' | 'epoch' | 'attempt'>;

export interface Transition {
  readonly from: RunStatus;
  readonly to: RunStatus;
  /** Takes the run from whoever acts for the present epoch. */
  readonly nextEpoch?: boolean;
  readonly nextAttempt?: boolean;
  readonly set?: RunChanges;
}

/**
 * Writes `runs.status`: compares (id, status, epoch) and sets, for many runs at once. Only the set-based beginning and end of runs
 * in this folder do so beside it, and compare the same. Gives the rows that changed; a run that another has changed meanwhile is not among them. Listeners are told when the transaction commits.
 */
export async function transitionRuns(
  trx: Transaction<Database>,
  runs: readonly RunFence[],
  { from, to, nextEpoch, nextAttempt, set }: Transition,
): Promise<RunRow[]> {
  if (!legalTransitions[from].includes(to)) throw new Error(`illegal transition of a run: ${from} to ${to}`);
  if (runs.length === 0) return [];
  const changed: RunRow[] = [];
  for (const [epoch, group] of Map.groupBy(runs, (run) => run.epoch)) {
    const ids = group.map((run) => run.id);
    const rows = await trx
      .updateTable('runs')
      .set((eb) => ({
        ...set,
        status: to,
        ...(nextEpoch === true ? { epoch: eb('epoch', '+', 1) } : {}),
        ...(nextAttempt === true ? { attempt: eb('attempt', '+', 1) } : {}),
      }))
      .where('id', '=', sql<string>`any(${ids}::text[])`)
      .where('status', '=', from)
      .where('epoch', '=', epoch)
      .returningAll()
      .execute();
    changed.push(...rows);
  }
  await notifyRuns(
    trx,
    changed.map((run) => run.id),
  );
  return changed;
}

/** One run; undefined when it is no longer as the caller saw it. */
export async function transitionRun(
  trx: Transaction<Database>,
  run: RunFence,
  transition: Transition,
): Promise<RunRow | undefined> {
  return (await transitionRuns(trx, [run], transition))[0];
}

/** Those of the runs that there are, by their ids; locked in the order of the ids until the transaction ends. */
export async function lockRuns(trx: Transaction<Database>, runIds: readonly string[]): Promise<Map<string, RunRow>> {
  const { rows } = await sql<RunRow>`
    select * from runs where id = any(${runIds}::text[]) order by id for update
  `.execute(trx);
  return new Map(rows.map((run) => [run.id, run]));
}

/** The run, locked until the transaction ends. */
export async function lockRun(trx: Transaction<Database>, runId: string): Promise<RunRow | undefined> {
  return trx.selectFrom('runs').selectAll().where('id', '=', runId).forUpdate().executeTakeFirst();
}
