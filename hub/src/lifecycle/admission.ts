import { poolLane, workerLane } from '@xvault/shared/lanes.ts';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { withAdvisoryLock } from './advisory-lock.ts';
import { controlLookahead, readControlCandidates, readDataCandidates } from './candidates.ts';
import { type Admitted, type Choice, chooseRuns } from './choose-runs.ts';
import { dbNow } from './clock.ts';
import { type OutboxTicket, outboxClaimMs } from './outbox.ts';
import type { Candidate } from './queue-model.ts';
import { type Room, readRoom } from './room.ts';
import type { LifecycleSettings } from './settings.ts';
import { transitionRuns } from './states.ts';
import { type Clock, readClock, saveVtimes } from './virtual-time.ts';

export interface AdmissionRound {
  readonly admitted: number;
  /** Those that the caller is to hand to their lanes, having asked for it. */
  readonly tickets: readonly OutboxTicket[];
  /** True when there may be room for more runs than were looked at. */
  readonly more: boolean;
}

/**
 * One round of admission in one transaction; another Hub being at it means nothing is left to do here. The history of runs costs
 * nothing, of the backlog an index is read, and only where there is room. With `claim` the tickets are the caller's to send, for
 * as long as a claim holds; without it whoever looks into the outbox sends them.
 */
export async function admitRuns(
  db: Kysely<Database>,
  settings: LifecycleSettings,
  { claim = false }: { readonly claim?: boolean } = {},
): Promise<AdmissionRound> {
  const round = await withAdvisoryLock(db, 'admission', async (trx) => {
    const room = await readRoom(trx, settings);
    const clock = await readClock(trx);
    const { candidates, cut } = await readCandidates(trx, room, settings, clock);
    const choice = chooseRuns(candidates, room, clock.vtime);
    const tickets = await dispatch(trx, choice.admitted, claim);
    await saveVtimes(trx, choice);
    const left = choice.admitted.length < candidates.length;
    return { admitted: choice.admitted.length, tickets, more: choice.admitted.length > 0 && (cut || left) };
  });
  return round ?? { admitted: 0, tickets: [], more: false };
}

async function readCandidates(
  trx: Transaction<Database>,
  room: Room,
  settings: LifecycleSettings,
  clock: Clock,
): Promise<{ candidates: Candidate[]; cut: boolean }> {
  if (room.fleet.workers.length === 0) return { candidates: [], cut: false };
  const control = await readControlCandidates(trx, room, settings);
  const lookahead = clock.hasBacklog ? room.free : 0;
  const data = lookahead === 0 ? [] : await readDataCandidates(trx, room, settings, clock.vtime, lookahead);
  return { candidates: [...control, ...data], cut: control.length === controlLookahead };
}

/** Each run becomes dispatched under a new epoch, with an attempt and a ticket on its way. */
async function dispatch(
  trx: Transaction<Database>,
  admitted: Choice['admitted'],
  claim: boolean,
): Promise<OutboxTicket[]> {
  const runs: RunRow[] = [];
  for (const [worker_id, group] of Map.groupBy(admitted, ({ run, workerId }) => routeOf(run, workerId))) {
    const fences = group.map(({ run }) => run);
    const set = { dispatched_at: dbNow(), not_before: null, worker_id, worker_host: null };
    const transition = { from: 'queued', to: 'dispatched', nextEpoch: true, nextAttempt: true, set } as const;
    runs.push(...(await transitionRuns(trx, fences, transition)));
  }
  if (runs.length === 0) return [];
  // The moment itself, not the transaction's beginning: what made room for them may have ended since.
  const now = sql<Date>`clock_timestamp()`;
  await trx
    .insertInto('run_attempts')
    .values(runs.map(({ id, attempt, epoch }) => ({ run_id: id, attempt, epoch, admitted_at: now })))
    .execute();
  return putInOutbox(trx, inOrder(runs, admitted), claim);
}

/** What the row must say beside its required worker. */
function routeOf(run: Candidate, workerId: string | null): string | null {
  return run.requiredWorkerId === null ? workerId : null;
}

function inOrder(runs: readonly RunRow[], order: readonly Admitted[]): RunRow[] {
  const byId = new Map(runs.map((run) => [run.id, run]));
  return order.flatMap(({ run }) => byId.get(run.id) ?? []);
}

type Ticketless = Pick<RunRow, 'id' | 'attempt' | 'kind'> & LaneColumns;
type LaneColumns = Pick<RunRow, 'pool' | 'worker_id' | 'required_worker_id'>;

/**
 * Writes down that these dispatched runs need a ticket in their lane, where none waits there and it is still true. Gives what
 * was written, in the order of the runs.
 */
export async function putInOutbox(
  db: Kysely<Database>,
  runs: readonly Ticketless[],
  claim = false,
): Promise<OutboxTicket[]> {
  if (runs.length === 0) return [];
  const tickets = runs.map((run) => ({ lane: laneOf(run), run_id: run.id, attempt: run.attempt }));
  const { rows } = await sql<OutboxTicket>`
    insert into outbox (lane, run_id, attempt, claimed_until)
    select ticket.lane, ticket.run_id, ticket.attempt, (${claim ? dbNow(outboxClaimMs) : null})::timestamptz
    from rows from (jsonb_to_recordset(${JSON.stringify(tickets)}::jsonb) as (lane text, run_id text, attempt int))
      with ordinality as ticket(lane, run_id, attempt, place)
    join runs on runs.id = ticket.run_id and runs.status = 'dispatched' and runs.attempt = ticket.attempt
    where not exists (select from outbox where outbox.run_id = ticket.run_id and outbox.attempt = ticket.attempt)
    order by ticket.place
    returning id, lane, run_id as "runId", attempt
  `.execute(db);
  const kinds = new Map(runs.map((run) => [run.id, run.kind]));
  return rows.sort((a, b) => a.id - b.id).map((row) => ({ ...row, kind: kinds.get(row.runId) ?? '' }));
}

export function laneOf({ pool, worker_id, required_worker_id }: LaneColumns): string {
  const workerId = worker_id ?? required_worker_id;
  return workerId === null ? poolLane(pool) : workerLane(workerId);
}
