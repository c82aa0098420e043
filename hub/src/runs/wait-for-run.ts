import type { Kysely } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import type { HubEvents } from '../notify.ts';

/** Looked at this often even when nothing is told, for a notification may be lost. */
const lookAgainMs = 2000;
const ended = ['success', 'warning', 'failed', 'cancelled'];

interface Wait {
  readonly tenantId: string;
  readonly runId: string;
  readonly timeoutMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** The run once it has ended; undefined when that takes too long or the signal is aborted. */
export async function waitForRun(db: Kysely<Database>, hubEvents: HubEvents, wait: Wait): Promise<RunRow | undefined> {
  const late = AbortSignal.any([wait.signal, AbortSignal.timeout(wait.timeoutMs)]);
  let changed = Promise.withResolvers<void>();
  const wake = () => changed.resolve();
  const unsubscribe = hubEvents.onRun(wait.runId, wake);
  const timer = setInterval(wake, lookAgainMs);
  late.addEventListener('abort', wake, { once: true });
  try {
    for (;;) {
      // Made before the look, so that a change during it is not missed.
      changed = Promise.withResolvers<void>();
      const run = await findRun(db, wait.tenantId, wait.runId);
      if (run !== undefined && ended.includes(run.status)) return run;
      if (late.aborted) return undefined;
      await changed.promise;
    }
  } finally {
    unsubscribe();
    clearInterval(timer);
    late.removeEventListener('abort', wake);
  }
}

function findRun(db: Kysely<Database>, tenantId: string, runId: string) {
  return db.selectFrom('runs').selectAll().where('tenant_id', '=', tenantId).where('id', '=', runId).executeTakeFirst();
}
