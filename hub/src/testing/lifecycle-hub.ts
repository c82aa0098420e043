import type { StartResponse } from '@xvault/shared/internal-api.ts';
import type { RunRow } from '../db/schema.ts';
import { admitRuns } from '../lifecycle/admission.ts';
import { sendOutbox } from '../lifecycle/outbox.ts';
import type { Reconciling } from '../lifecycle/reconciling.ts';
import { waitReasons } from '../lifecycle/wait-reasons.ts';
import type { ScriptedWorker } from './scripted-worker.ts';
import type { TestHub } from './test-hub.ts';

/** Steps of the life of a run on a Hub whose loops are not running, so that a test decides what happens when. */
export function stepsOf(hub: TestHub) {
  const { db, deps } = hub;
  const steps = {
    row: (runId: string): Promise<RunRow> =>
      db.selectFrom('runs').selectAll().where('id', '=', runId).executeTakeFirstOrThrow(),
    /** Admits what may go and sends its tickets. */
    async dispatch(): Promise<number> {
      const { admitted } = await admitRuns(db, deps.config);
      await sendOutbox(db, deps.lanes);
      return admitted;
    },
    /** Dispatches and starts; the run must be admitted by that. */
    async begin(run: Pick<RunRow, 'id'>, worker: ScriptedWorker): Promise<StartResponse> {
      await steps.dispatch();
      const { attempt } = await steps.row(run.id);
      const { status, body } = await worker.start(run.id, attempt);
      if (status !== 200) throw new Error(`not started: ${JSON.stringify(body)}`);
      return body;
    },
    waitReason: async (runId: string): Promise<string | undefined> =>
      (await waitReasons(db, [await steps.row(runId)], deps.config)).get(runId),
    /** As if the time had passed. */
    endBackoff: (runId: string) => db.updateTable('runs').set({ not_before: null }).where('id', '=', runId).execute(),
    endLease: (runId: string) =>
      db
        .updateTable('runs')
        .set({ lease_expires_at: new Date(0) })
        .where('id', '=', runId)
        .execute(),
    events: async (runId: string): Promise<string[]> => {
      const rows = await db
        .selectFrom('run_events')
        .select('message_id')
        .where('run_id', '=', runId)
        .orderBy('id')
        .execute();
      return rows.map((row) => row.message_id);
    },
    reconciling: (): Reconciling => ({
      db,
      lanes: deps.lanes,
      settings: deps.config,
      logger: deps.logger,
      signal: new AbortController().signal,
    }),
  };
  return steps;
}
