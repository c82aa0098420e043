import { progress } from '@xvault/shared/internal-api.ts';
import type { Kysely } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import type { LifecycleSettings } from '../lifecycle/settings.ts';
import { isEnded } from '../lifecycle/states.ts';
import { waitReasons } from '../lifecycle/wait-reasons.ts';
import { createWakeUp } from '../loops/wake-up.ts';
import type { HubEvents } from '../notify.ts';
import { toRunView } from './run-view.ts';
import { getRun, listEvents } from './runs.repository.ts';
import { toEventView } from './runs.schema.ts';

/** A comment is sent after this much silence, so that proxies keep the connection; the database is looked at as well. */
const heartbeatMs = 15_000;
const eventsPerRead = 500;

export interface RunStream {
  readonly tenantId: string;
  readonly runId: string;
  /** Events after this one. */
  readonly sinceId: number;
  readonly forOperator: boolean;
  /** Ends the stream. */
  readonly signal: AbortSignal;
}

interface StreamDeps {
  readonly db: Kysely<Database>;
  readonly hubEvents: HubEvents;
  readonly settings: LifecycleSettings;
}

/** Server-sent events of a run, from what the database holds to its end. */
export async function* streamRun({ db, hubEvents, settings }: StreamDeps, stream: RunStream): AsyncGenerator<string> {
  const wakeUp = createWakeUp(stream.signal);
  // Before the first look, so that nothing falls between the look and the waiting.
  const unsubscribe = hubEvents.onRun(stream.runId, wakeUp.wake);
  let { sinceId } = stream;
  let shown = '';
  try {
    yield 'retry: 2000\n\n';
    while (!stream.signal.aborted) {
      // The run first: when it is seen ended, all its events can be seen.
      const run = await getRun(db, stream.tenantId, stream.runId);
      if (run === undefined) return;
      for (;;) {
        const events = await listEvents(db, stream.tenantId, run.id, { sinceId, limit: eventsPerRead });
        for (const event of events) yield frame('event', toEventView(event), event.id);
        sinceId = events.at(-1)?.id ?? sinceId;
        if (events.length < eventsPerRead) break;
      }
      const waitReason = (await waitReasons(db, [run], settings)).get(run.id);
      const state = JSON.stringify(progressOf(run, waitReason));
      if (state !== shown) yield `event: progress\ndata: ${state}\n\n`;
      shown = state;
      if (isEnded(run.status)) {
        yield frame('end', toRunView(run, { forOperator: stream.forOperator }));
        return;
      }
      if (!(await wakeUp.wait(heartbeatMs))) yield ': still here\n\n';
    }
  } finally {
    unsubscribe();
  }
}

/** JSON text has no line breaks, so one data line is enough. */
function frame(event: string, data: unknown, id?: number): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

function progressOf(run: RunRow, waitReason: string | undefined) {
  const { status, attempt, wait_reason, cancel_requested, ...view } = toRunView(run, { waitReason });
  return { status, attempt, wait_reason, cancel_requested, ...progress.parse(pick(view)) };
}

function pick(view: Record<string, unknown>) {
  return Object.fromEntries(Object.keys(progress.shape).map((name) => [name, view[name]]));
}
