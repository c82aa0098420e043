import { assertNever, XVaultError } from '@xvault/shared/errors.ts';
import type { Outcome as AttemptOutcome, FinishRequest, FinishResponse } from '@xvault/shared/internal-api.ts';
import { equalHashes, hashToken } from '@xvault/shared/tokens.ts';
import type { Kysely, Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { createBatcher, type Outcome } from '../loops/batcher.ts';
import { endRun, failAttempt, handBackAttempt } from './attempt-end.ts';
import { completeRun } from './complete-run.ts';
import { endProbes, isPlainProbeEnd, type ProbeEnd } from './finish-probes.ts';
import { holdsLease } from './lease-token.ts';
import { toPgText } from './pg-text.ts';
import { storeReport } from './report.ts';
import type { LifecycleSettings } from './settings.ts';
import { lockRun, lockRuns } from './states.ts';

export interface Finish {
  readonly runId: string;
  readonly workerId: string;
  readonly request: FinishRequest;
}

/**
 * Ends attempts as their workers say; tests and listings that end well at the same time in one transaction, each other run in its
 * own. Repeated, it gives the same answer. A lease that is over but not taken away still counts. Throws ATTEMPT_SUPERSEDED
 * when the run is no longer this worker's.
 */
export function createFinisher(
  db: Kysely<Database>,
  settings: LifecycleSettings,
): (finish: Finish) => Promise<FinishResponse> {
  const plainly = createBatcher<Finish, FinishResponse | undefined>({
    keyOf: ({ runId }) => runId,
    carryOut: (finishes) => db.transaction().execute((trx) => finishPlainly(trx, finishes, settings)),
  });
  return async (finish) => {
    const { outcome } = finish.request;
    const mayBePlain = outcome.status === 'completed' && outcome.result.kind === 'probe';
    return (mayBePlain ? await plainly(finish) : undefined) ?? finishAlone(db, finish, settings);
  };
}

/** Undefined for those that need a transaction of their own. */
async function finishPlainly(
  trx: Transaction<Database>,
  finishes: readonly Finish[],
  settings: LifecycleSettings,
): Promise<Outcome<FinishResponse | undefined>[]> {
  const runs = await lockRuns(
    trx,
    finishes.map(({ runId }) => runId),
  );
  const ends = finishes.flatMap(({ runId, workerId, request }): ProbeEnd[] => {
    const run = runs.get(runId);
    if (run === undefined || !holdsLease(run, workerId, request) || !isPlainProbeEnd(run, request, settings)) return [];
    const { outcome } = request;
    if (outcome.status !== 'completed' || outcome.result.kind !== 'probe') return [];
    return [{ run, request, result: outcome.result }];
  });
  const ended = await endProbes(trx, ends, settings);
  return finishes.map(({ runId }) => {
    const status = ended.get(runId);
    return { value: status === undefined ? undefined : { run_status: status } };
  });
}

async function finishAlone(
  db: Kysely<Database>,
  { runId, workerId, request }: Finish,
  settings: LifecycleSettings,
): Promise<FinishResponse> {
  return db.transaction().execute(async (trx) => {
    const run = await lockRun(trx, runId);
    if (run === undefined || !holdsLease(run, workerId, request)) return earlierAnswer(trx, workerId, runId, request);
    const reported = await storeReport(trx, run, request, settings);
    const ended = await applyOutcome(trx, reported, request.outcome, settings);
    return { run_status: answerOf(ended) };
  });
}

async function earlierAnswer(
  trx: Transaction<Database>,
  workerId: string,
  runId: string,
  { epoch, lease_token }: FinishRequest,
): Promise<FinishResponse> {
  const attempt = await trx
    .selectFrom('run_attempts')
    .select(['lease_token_hash', 'run_status'])
    .where('run_id', '=', runId)
    .where('epoch', '=', epoch)
    .where('worker_id', '=', workerId)
    .executeTakeFirst();
  const hash = attempt?.lease_token_hash ?? '';
  if (attempt?.run_status == null || !equalHashes(hash, hashToken(lease_token))) {
    throw new XVaultError('ATTEMPT_SUPERSEDED', { detail: `run ${runId} is not held under epoch ${epoch}` });
  }
  return { run_status: answerOf({ id: runId, status: attempt.run_status }) };
}

async function applyOutcome(
  trx: Transaction<Database>,
  run: RunRow,
  outcome: AttemptOutcome,
  settings: LifecycleSettings,
): Promise<RunRow> {
  const set = {
    warnings: outcome.warnings,
    log_excerpt: outcome.log_excerpt === null ? null : toPgText(outcome.log_excerpt),
  };
  switch (outcome.status) {
    case 'completed':
      return completeRun(trx, run, outcome.result, set, settings);
    case 'failed': {
      const failure = { code: outcome.error_code, params: outcome.error_params, detail: outcome.error_detail };
      return failAttempt(trx, run, failure, settings, { told: true, set });
    }
    case 'cancelled':
      return endRun(trx, run, 'cancelled', { outcome: 'cancelled', told: true }, set);
    case 'handed_back':
      return handBackAttempt(trx, run, set);
    default:
      return assertNever(outcome);
  }
}

function answerOf({ id, status }: { id: string; status: string }): FinishResponse['run_status'] {
  switch (status) {
    case 'queued':
    case 'success':
    case 'warning':
    case 'failed':
    case 'cancelled':
      return status;
    default:
      throw new Error(`run ${id} cannot be ${status} after its attempt ended`);
  }
}
