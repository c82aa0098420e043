import type { EventDraft, WorkerEvent } from '@xvault/shared/events.ts';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import { toPgJson } from './pg-text.ts';

export interface EventRow {
  readonly run_id: string;
  readonly id: number;
  /** RFC 3339 with microseconds; null is now. */
  readonly ts: string | null;
  readonly type: string;
  readonly level: string;
  readonly code: string;
  readonly message_id: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Rows of a statement: keeps its JSON parameter at a moderate size. */
const rowsPerInsert = 2_000;

export async function insertEvents(db: Kysely<Database>, rows: readonly EventRow[]): Promise<void> {
  for (let from = 0; from < rows.length; from += rowsPerInsert) {
    const json = toPgJson(rows.slice(from, from + rowsPerInsert));
    await sql`
      insert into run_events (run_id, id, ts, type, level, code, message_id, params)
      select run_id, id, coalesce(ts, clock_timestamp()), type, level, code, message_id, params
      from jsonb_to_recordset(${json}::jsonb) as event(
        run_id text, id int, ts timestamptz, type text, level text, code text, message_id text, params jsonb)
    `.execute(db);
  }
}

/** Appends what the Hub itself has to say of a run; these are few and pass the cap. The row must be locked or just changed. */
export async function appendHubEvents(
  trx: Transaction<Database>,
  runId: string,
  events: readonly EventDraft[],
): Promise<void> {
  const { event_count: count } = await trx
    .updateTable('runs')
    .set((eb) => ({ event_count: eb('event_count', '+', events.length) }))
    .where('id', '=', runId)
    .returning('event_count')
    .executeTakeFirstOrThrow();
  const first = count - events.length + 1;
  await insertEvents(
    trx,
    events.map((event, index) => ({ run_id: runId, id: first + index, ts: null, ...event })),
  );
}

/** What the row says of a run's events before a batch. */
export interface EventState {
  readonly runId: string;
  /** Events stored, of any origin. */
  readonly count: number;
  /** Highest sequence stored of this attempt. */
  readonly workerSeq: number;
  /** Whether `events_capped` was written already. */
  readonly capped: boolean;
}

export interface EventPlan {
  readonly rows: readonly EventRow[];
  readonly count: number;
  readonly workerSeq: number;
}

const cappedEvent: EventDraft = {
  type: 'warning',
  level: 'warn',
  code: 'EVENTS_CAPPED',
  message_id: 'events_capped',
  params: {},
};

/** Which of a worker's events are new and fit below the cap, numbered on from the run's last; the rest counts as stored. */
export function planWorkerEvents(state: EventState, events: readonly WorkerEvent[], maxPerRun: number): EventPlan {
  const fresh = [...events].sort((a, b) => a.seq - b.seq).filter(isNewAfter(state.workerSeq));
  const room = Math.max(0, maxPerRun - state.count);
  const rows: EventRow[] = fresh.slice(0, room).map(({ seq: _, ...event }, index) => ({
    run_id: state.runId,
    id: state.count + 1 + index,
    ...event,
  }));
  if (fresh.length > room && !state.capped) {
    rows.push({ run_id: state.runId, id: state.count + rows.length + 1, ts: null, ...cappedEvent });
  }
  return {
    rows,
    count: state.count + rows.length,
    workerSeq: fresh.at(-1)?.seq ?? state.workerSeq,
  };
}

function isNewAfter(storedTo: number): (event: WorkerEvent) => boolean {
  let last = storedTo;
  return ({ seq }) => {
    if (seq <= last) return false;
    last = seq;
    return true;
  };
}

/** Of these runs, those whose list of events ends with `events_capped`. Only few events of the Hub can lie beyond the cap. */
export async function findCapped(
  db: Kysely<Database>,
  runIds: readonly string[],
  maxPerRun: number,
): Promise<Set<string>> {
  if (runIds.length === 0) return new Set();
  const rows = await db
    .selectFrom('run_events')
    .select('run_id')
    .where('run_id', 'in', runIds)
    .where('id', '>', maxPerRun)
    .where('message_id', '=', 'events_capped')
    .execute();
  return new Set(rows.map((row) => row.run_id));
}
