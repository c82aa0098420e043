import { type ErrorCode, errorCatalogue } from '@xvault/shared/errors.ts';
import type { EventDraft, EventParams } from '@xvault/shared/events.ts';
import type { Transaction, UpdateObject } from 'kysely';
import type { Database, RunRow, RunStatus } from '../db/schema.ts';
import { notifyQueued } from '../notify.ts';
import { dbNow } from './clock.ts';
import { appendHubEvents, insertEvents } from './events.ts';
import { hubEvent } from './hub-event.ts';
import { toPgText } from './pg-text.ts';
import { retryDelayMs } from './retry-delay.ts';
import { onRunEnded } from './run-ended.ts';
import type { LifecycleSettings } from './settings.ts';
import { type RunFence, transitionRun } from './states.ts';

/** Why an attempt ended without a result. */
export interface Failure {
  readonly code: ErrorCode;
  /** Fills the customer's sentence. */
  readonly params?: EventParams;
  /** For operators. */
  readonly detail?: string | null;
}

type Changes = Pick<UpdateObject<Database, 'runs'>, 'warnings' | 'log_excerpt'>;

/** No worker holds the run any more. */
const released = {
  lease_token_hash: null,
  lease_expires_at: null,
  pending_snapshot_id: null,
  current_item: null,
} as const;

/** How an attempt ended, for its own row; `told` is what its worker is answered, if it asked. */
interface AttemptRecord {
  readonly outcome: string;
  readonly errorCode?: string;
  readonly told: boolean;
}

/**
 * The attempt of this locked run failed: another one follows if that may help and is allowed, else the run failed.
 * A run that was asked to stop is cancelled instead.
 */
export async function failAttempt(
  trx: Transaction<Database>,
  run: RunRow,
  failure: Failure,
  settings: LifecycleSettings,
  options: { readonly told: boolean; readonly set?: Changes },
): Promise<RunRow> {
  const record = { outcome: 'failed', errorCode: failure.code, told: options.told };
  if (run.cancel_requested_at !== null) return endRun(trx, run, 'cancelled', record, { ...options.set });
  const failures = run.attempt - run.handed_back;
  if (errorCatalogue[failure.code].retryable && failures < run.max_attempts) {
    const event = hubEvent('run_retried', { attempt: run.attempt, sentence: sentenceOf(failure) }, failure.code);
    const delayMs = retryDelayMs(failures, settings);
    return requeue(trx, run, record, [event], { ...options.set, not_before: dbNow(delayMs) });
  }
  return failRun(trx, run, failure, record, options.set);
}

/** Ends the run as failed for good. */
export async function failRun(
  trx: Transaction<Database>,
  run: RunRow,
  failure: Failure,
  record: AttemptRecord = { outcome: 'failed', errorCode: failure.code, told: false },
  set: Changes & UpdateObject<Database, 'runs'> = {},
): Promise<RunRow> {
  return endRun(
    trx,
    run,
    'failed',
    record,
    {
      ...set,
      error_code: failure.code,
      error_summary: toPgText(sentenceOf(failure)),
      error_detail: failure.detail == null ? null : toPgText(failure.detail),
    },
    failure,
  );
}

/** The worker gave the attempt back unfinished: it does not count. */
export async function handBackAttempt(trx: Transaction<Database>, run: RunRow, set: Changes): Promise<RunRow> {
  const record = { outcome: 'handed_back', errorCode: 'WORKER_DRAINED', told: true };
  if (run.cancel_requested_at !== null) return endRun(trx, run, 'cancelled', record, set);
  const sentence = sentenceOf({ code: 'WORKER_DRAINED' });
  const event = hubEvent('run_retried', { attempt: run.attempt, sentence }, 'WORKER_DRAINED');
  return requeue(trx, run, record, [event], { ...set, handed_back: run.handed_back + 1 });
}

/** A dispatched run that its worker cannot take goes back to the queue: the attempt was none. */
export async function putBackAttempt(trx: Transaction<Database>, run: RunRow): Promise<RunRow> {
  const record = { outcome: 'handed_back', errorCode: 'WORKER_UNSUITABLE', told: false };
  await trx.deleteFrom('outbox').where('run_id', '=', run.id).execute();
  return requeue(trx, run, record, [], { handed_back: run.handed_back + 1 });
}

/** Ends the run in a status that never changes again. */
export async function endRun(
  trx: Transaction<Database>,
  run: RunRow,
  status: Extract<RunStatus, 'success' | 'warning' | 'failed' | 'cancelled'>,
  record: AttemptRecord,
  set: UpdateObject<Database, 'runs'>,
  failure?: Failure,
): Promise<RunRow> {
  const ended = await change(trx, run, {
    from: run.status,
    to: status,
    // Takes the run from a worker that was not asked; one that has just finished knows.
    nextEpoch: !record.told,
    set: {
      ...released,
      eta_seconds: null,
      not_before: null,
      ...set,
      finished_at: dbNow(),
      event_count: run.event_count + 1,
    },
  });
  await recordEnd(trx, run, record, status);
  await insertEvents(trx, [{ run_id: run.id, id: ended.event_count, ts: null, ...endEvent(ended, failure) }]);
  await onRunEnded(trx, ended);
  return ended;
}

export function endEvent(run: Pick<RunRow, 'status' | 'warnings' | 'error_code' | 'error_summary'>, failure?: Failure) {
  if (run.status === 'success') return hubEvent('run_succeeded');
  if (run.status === 'warning') return hubEvent('run_warned', { warnings: run.warnings });
  if (run.status === 'cancelled') return hubEvent('run_cancelled');
  const params = { ...failure?.params, sentence: run.error_summary };
  return hubEvent('run_failed', params, run.error_code ?? 'INTERNAL');
}

async function requeue(
  trx: Transaction<Database>,
  run: RunRow,
  record: AttemptRecord,
  events: readonly EventDraft[],
  set: UpdateObject<Database, 'runs'>,
): Promise<RunRow> {
  const queued = await change(trx, run, {
    from: run.status,
    to: 'queued',
    nextEpoch: true,
    set: { ...released, worker_id: null, worker_host: null, dispatched_at: null, eta_seconds: null, ...set },
  });
  await recordEnd(trx, run, record, 'queued');
  if (events.length > 0) await appendHubEvents(trx, run.id, events);
  await notifyQueued(trx);
  return queued;
}

async function change(trx: Transaction<Database>, run: RunFence, transition: Parameters<typeof transitionRun>[2]) {
  const changed = await transitionRun(trx, run, transition);
  if (changed === undefined) throw new Error(`run ${run.id} changed although its row was locked`);
  return changed;
}

async function recordEnd(trx: Transaction<Database>, run: RunRow, record: AttemptRecord, status: RunStatus) {
  await trx
    .updateTable('run_attempts')
    .set({
      ended_at: dbNow(),
      outcome: record.outcome,
      error_code: record.errorCode ?? null,
      run_status: record.told ? status : null,
    })
    .where('run_id', '=', run.id)
    .where('epoch', '=', run.epoch)
    .execute();
}

function sentenceOf({ code, params }: Failure): string {
  const sentence = errorCatalogue[code].sentence;
  return sentence.replace(/\{(\w+)\}/g, (_, name: string) => String(params?.[name] ?? ''));
}
