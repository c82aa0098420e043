import type { HeartbeatRequest, HeartbeatResponse } from '@xvault/shared/internal-api.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import { equalHashes, hashToken } from '@xvault/shared/tokens.ts';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import { isDatabaseUnavailable } from '../db/unavailable.ts';
import { notifyRuns } from '../notify.ts';
import { dbNow } from './clock.ts';
import { type EventPlan, findCapped, insertEvents, planWorkerEvents } from './events.ts';
import { toPgJson } from './pg-text.ts';
import type { LifecycleSettings } from './settings.ts';

type RunReport = HeartbeatRequest['runs'][number];

interface HeldRun {
  readonly id: string;
  readonly epoch: number;
  readonly lease_token_hash: string | null;
  readonly event_count: number;
  readonly worker_seq: number;
  readonly cancel_requested: boolean;
}

/**
 * Takes in what a worker says of all its runs, in a handful of statements however many they are. Extends the lease of
 * each run that is still its own, also one that is over but was not taken away. A run of which something cannot be stored is
 * not in the answer and its lease not extended; the others do not suffer by it.
 */
export async function heartbeat(
  db: Kysely<Database>,
  workerId: string,
  request: HeartbeatRequest,
  settings: LifecycleSettings,
  logger: Pick<Logger, 'error'>,
): Promise<HeartbeatResponse> {
  const { runs } = request;
  const beat = (some: HeartbeatRequest['runs']) =>
    heartbeat(db, workerId, { ...request, runs: some }, settings, logger);
  try {
    return await beatTogether(db, workerId, request, settings);
  } catch (error) {
    if (runs.length === 0 || isDatabaseUnavailable(error)) throw error;
    if (runs.length === 1) {
      logger.error({ err: error, workerId, runId: runs[0]?.run_id }, 'what a worker says of a run cannot be stored');
      return beat([]);
    }
    const middle = Math.ceil(runs.length / 2);
    const [first, rest] = [await beat(runs.slice(0, middle)), await beat(runs.slice(middle))];
    return { drain: rest.drain, runs: [...first.runs, ...rest.runs] };
  }
}

async function beatTogether(
  db: Kysely<Database>,
  workerId: string,
  request: HeartbeatRequest,
  settings: LifecycleSettings,
): Promise<HeartbeatResponse> {
  return db.transaction().execute(async (trx) => {
    const reports = new Map(request.runs.map((report) => [report.run_id, report]));
    const held = await lockHeld(trx, workerId, reports);
    const plans = await planEvents(trx, held, reports, settings);
    await insertEvents(
      trx,
      [...plans.values()].flatMap((plan) => plan.rows),
    );
    await extendLeases(trx, held, reports, plans, settings);
    await notifyRuns(trx, changedRuns(held, reports, plans));
    const drain = await saveWorker(trx, workerId, request);
    return { drain, runs: request.runs.map(({ run_id }) => answer(run_id, held.get(run_id), plans.get(run_id))) };
  });
}

function answer(
  runId: string,
  run: HeldRun | undefined,
  plan: EventPlan | undefined,
): HeartbeatResponse['runs'][number] {
  if (run === undefined || plan === undefined) return { run_id: runId, action: 'superseded', events_stored_to: 0 };
  return {
    run_id: runId,
    action: run.cancel_requested ? 'cancel' : 'continue',
    events_stored_to: plan.workerSeq,
  };
}

/** Locks, in the order of their ids, those of the runs that this worker really holds. */
async function lockHeld(
  trx: Transaction<Database>,
  workerId: string,
  reports: ReadonlyMap<string, RunReport>,
): Promise<Map<string, HeldRun>> {
  if (reports.size === 0) return new Map();
  const rows: HeldRun[] = await trx
    .selectFrom('runs')
    .select(['id', 'epoch', 'lease_token_hash', 'event_count', 'worker_seq'])
    .select(sql<boolean>`cancel_requested_at is not null`.as('cancel_requested'))
    .where('id', 'in', [...reports.keys()])
    .where('status', '=', 'running')
    .where('worker_id', '=', workerId)
    .orderBy('id')
    .forUpdate()
    .execute();
  return new Map(rows.filter((run) => fits(run, reports.get(run.id))).map((run) => [run.id, run]));
}

function fits(run: HeldRun, report: RunReport | undefined): boolean {
  if (report === undefined || report.epoch !== run.epoch || run.lease_token_hash === null) return false;
  return equalHashes(run.lease_token_hash, hashToken(report.lease_token));
}

async function planEvents(
  trx: Transaction<Database>,
  held: ReadonlyMap<string, HeldRun>,
  reports: ReadonlyMap<string, RunReport>,
  { eventMaxPerRun }: LifecycleSettings,
): Promise<Map<string, EventPlan>> {
  const over = [...held.values()].filter((run) => run.event_count > eventMaxPerRun).map((run) => run.id);
  const capped = await findCapped(trx, over, eventMaxPerRun);
  return new Map(
    [...held.values()].map((run) => {
      const state = { runId: run.id, count: run.event_count, workerSeq: run.worker_seq, capped: capped.has(run.id) };
      return [run.id, planWorkerEvents(state, reports.get(run.id)?.events ?? [], eventMaxPerRun)];
    }),
  );
}

async function extendLeases(
  trx: Transaction<Database>,
  held: ReadonlyMap<string, HeldRun>,
  reports: ReadonlyMap<string, RunReport>,
  plans: ReadonlyMap<string, EventPlan>,
  { leaseMs }: LifecycleSettings,
): Promise<void> {
  if (held.size === 0) return;
  const beats = [...held.keys()].map((id) => ({
    id,
    event_count: plans.get(id)?.count,
    worker_seq: plans.get(id)?.workerSeq,
    has_progress: (reports.get(id)?.progress ?? null) !== null,
    ...reports.get(id)?.progress,
  }));
  await sql`
    update runs set
      lease_expires_at = ${dbNow(leaseMs)}, heartbeat_at = now(),
      event_count = beat.event_count, worker_seq = beat.worker_seq,
      progress_pct = case when has_progress then beat.progress_pct else runs.progress_pct end,
      bytes_total = case when has_progress then beat.bytes_total else runs.bytes_total end,
      bytes_transferred = coalesce(beat.bytes_transferred, runs.bytes_transferred),
      objects_total = case when has_progress then beat.objects_total else runs.objects_total end,
      objects_transferred = coalesce(beat.objects_transferred, runs.objects_transferred),
      speed_bytes_per_sec = coalesce(beat.speed_bytes_per_sec, runs.speed_bytes_per_sec),
      eta_seconds = case when has_progress then beat.eta_seconds else runs.eta_seconds end,
      current_item = case when has_progress then beat.current_item else runs.current_item end
    from jsonb_to_recordset(${toPgJson(beats)}::jsonb) as beat(
      id text, event_count int, worker_seq int, has_progress boolean, progress_pct float8, bytes_total bigint,
      bytes_transferred bigint, objects_total bigint, objects_transferred bigint, speed_bytes_per_sec bigint,
      eta_seconds bigint, current_item text)
    where runs.id = beat.id
  `.execute(trx);
}

function changedRuns(
  held: ReadonlyMap<string, HeldRun>,
  reports: ReadonlyMap<string, RunReport>,
  plans: ReadonlyMap<string, EventPlan>,
): string[] {
  return [...held.keys()].filter(
    (id) => (reports.get(id)?.progress ?? null) !== null || (plans.get(id)?.rows.length ?? 0) > 0,
  );
}

/** Keeps the worker's own figures; true when it is to drain. */
async function saveWorker(trx: Transaction<Database>, workerId: string, request: HeartbeatRequest): Promise<boolean> {
  const worker = await trx
    .updateTable('workers')
    .set({
      slots_in_use: request.slots_in_use,
      load_1m: request.load_1m,
      disk_free_bytes: request.disk_free_bytes,
      last_seen_at: dbNow(),
      status: sql`case when status = 'offline' then 'active' else status end`,
    })
    .where('id', '=', workerId)
    .returning('status')
    .executeTakeFirst();
  return worker?.status === 'draining';
}
