import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { StartRequest, StartResponse } from '@xvault/shared/internal-api.ts';
import { type RunKind, runKindNames, runSpec } from '@xvault/shared/run-kinds.ts';
import { hashToken } from '@xvault/shared/tokens.ts';
import type { Kysely, Transaction } from 'kysely';
import type { Database, RunRow, WorkerRow } from '../db/schema.ts';
import { putBackAttempt } from './attempt-end.ts';
import { dbNow } from './clock.ts';
import { appendHubEvents } from './events.ts';
import { unfitFor } from './fleet.ts';
import { hubEvent } from './hub-event.ts';
import { leaseToken } from './lease-token.ts';
import { noProgress } from './progress.ts';
import type { LifecycleSettings } from './settings.ts';
import { readStartSecrets } from './start-secrets.ts';
import { lockRun, transitionRun } from './states.ts';
import { markValidationRunning } from './validation.ts';

/**
 * Gives a dispatched run to the worker that took its ticket. The same nonce gets the same answer, so a worker may ask
 * again when it heard none. Throws ATTEMPT_SUPERSEDED when the ticket's time has passed, and WORKER_UNSUITABLE when this worker
 * cannot or may not take the run: it then goes back to the queue.
 */
export async function startRun(
  db: Kysely<Database>,
  worker: WorkerRow,
  runId: string,
  request: Pick<StartRequest, 'attempt' | 'nonce'>,
  settings: LifecycleSettings,
): Promise<StartResponse> {
  const started = await db.transaction().execute(async (trx) => {
    const run = await lockRun(trx, runId);
    if (run === undefined || run.attempt !== request.attempt) throw superseded(runId, request.attempt);
    const token = leaseToken(settings.jwtSecret, run.id, run.epoch, request.nonce);
    if (run.status === 'running' && run.worker_id === worker.id && run.lease_token_hash === hashToken(token)) {
      // The worker counts its lease from the request that was answered, so the repeated one begins it anew.
      await trx
        .updateTable('runs')
        .set({ lease_expires_at: dbNow(settings.leaseMs), heartbeat_at: dbNow() })
        .where('id', '=', run.id)
        .execute();
      return answer(trx, run, token, settings);
    }
    if (run.status !== 'dispatched' || !mayTake(worker, run)) throw superseded(runId, request.attempt);
    const unfit = unfitFor(worker, kindOf(run), settings.workerMinFreeDiskBytes);
    if (unfit === null) return answer(trx, await begin(trx, run, worker, token, settings), token, settings);
    // Not thrown in here, where it would undo the return to the queue.
    await putBackAttempt(trx, run);
    return new XVaultError('WORKER_UNSUITABLE', { detail: `worker ${worker.id} ${unfit}` });
  });
  if (started instanceof XVaultError) throw started;
  return started;
}

function superseded(runId: string, attempt: number): XVaultError {
  return new XVaultError('ATTEMPT_SUPERSEDED', { detail: `run ${runId} does not wait for attempt ${attempt} here` });
}

function mayTake(worker: Pick<WorkerRow, 'id' | 'pool'>, run: RunRow): boolean {
  const only = run.worker_id ?? run.required_worker_id;
  return only === null ? run.pool === worker.pool : only === worker.id;
}

async function begin(
  trx: Transaction<Database>,
  run: RunRow,
  worker: Pick<WorkerRow, 'id' | 'host'>,
  token: string,
  settings: LifecycleSettings,
): Promise<RunRow> {
  const snapshotId = run.kind === 'backup' ? newId() : null;
  const tokenHash = hashToken(token);
  const started = await transitionRun(trx, run, {
    from: 'dispatched',
    to: 'running',
    set: {
      worker_id: worker.id,
      worker_host: worker.host,
      lease_token_hash: tokenHash,
      lease_expires_at: dbNow(settings.leaseMs),
      heartbeat_at: dbNow(),
      started_at: run.started_at ?? dbNow(),
      pending_snapshot_id: snapshotId,
      worker_seq: 0,
      ...noProgress,
    },
  });
  if (started === undefined) throw superseded(run.id, run.attempt);
  await trx
    .updateTable('run_attempts')
    .set({ worker_id: worker.id, started_at: dbNow(), lease_token_hash: tokenHash, snapshot_id: snapshotId })
    .where('run_id', '=', run.id)
    .where('epoch', '=', run.epoch)
    .execute();
  await appendHubEvents(trx, run.id, [hubEvent('run_started', { attempt: run.attempt })]);
  if (run.kind === 'validation') await markValidationRunning(trx, run);
  return started;
}

async function answer(
  trx: Transaction<Database>,
  run: RunRow,
  token: string,
  settings: LifecycleSettings,
): Promise<StartResponse> {
  const spec = runSpec.parse(run.spec);
  const [secrets] = await readStartSecrets(trx, [{ runId: run.id, tenantId: run.tenant_id, spec }]);
  if (secrets === undefined) throw new Error('no answer about the secrets of a run');
  return {
    run_id: run.id,
    tenant_id: run.tenant_id,
    kind: kindOf(run),
    attempt: run.attempt,
    epoch: run.epoch,
    lease_token: token,
    lease_ms: settings.leaseMs,
    spec,
    snapshot_id: run.pending_snapshot_id,
    ...secrets,
    bandwidth_limit_bps: null,
  };
}

function kindOf(run: RunRow): RunKind {
  const kind = runKindNames.find((name) => name === run.kind);
  if (kind === undefined)
    throw new XVaultError('INTERNAL', { detail: `run ${run.id} has the unknown kind ${run.kind}` });
  return kind;
}
