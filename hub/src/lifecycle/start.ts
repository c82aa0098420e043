import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { StartRequest, StartResponse } from '@xvault/shared/internal-api.ts';
import { type RunKind, runKindNames, runSpec } from '@xvault/shared/run-kinds.ts';
import { hashToken } from '@xvault/shared/tokens.ts';
import type { Kysely, Transaction } from 'kysely';
import type { Database, RunRow, WorkerRow } from '../db/schema.ts';
import { createBatcher, type Outcome } from '../loops/batcher.ts';
import { putBackAttempt } from './attempt-end.ts';
import { type Beginning, beginRuns } from './begin-runs.ts';
import { dbNow } from './clock.ts';
import { unfitFor } from './fleet.ts';
import { readFollowRoots } from './follow-roots.ts';
import { withKeptVersions } from './kept-versions.ts';
import { leaseToken } from './lease-token.ts';
import { toPlace } from './queue-model.ts';
import type { LifecycleSettings } from './settings.ts';
import { readStartSecrets } from './start-secrets.ts';
import { lockRuns } from './states.ts';
import { markValidationRunning } from './validation.ts';

export interface Start extends Pick<StartRequest, 'attempt' | 'nonce'> {
  readonly runId: string;
  readonly worker: WorkerRow;
}

/**
 * Gives dispatched runs to the workers that took their tickets; those that are asked for at the same time in one transaction.
 * The same nonce gets the same answer, so a worker may ask again when it heard none. Throws ATTEMPT_SUPERSEDED when the
 * ticket's time has passed, and WORKER_UNSUITABLE when this worker cannot or may not take the run: it then goes back to the queue.
 */
export function createStarter(
  db: Kysely<Database>,
  settings: LifecycleSettings,
): (start: Start) => Promise<StartResponse> {
  return createBatcher<Start, StartResponse>({
    keyOf: ({ runId }) => runId,
    carryOut: (starts) => db.transaction().execute((trx) => startRuns(trx, starts, settings)),
  });
}

/** What is to become of one start. */
type Decision =
  | { readonly refused: XVaultError }
  | { readonly begin: Beginning; readonly token: string }
  | { readonly again: RunRow; readonly token: string }
  | { readonly putBack: RunRow; readonly why: XVaultError };

/** No two of the starts may be of one run. */
async function startRuns(
  trx: Transaction<Database>,
  starts: readonly Start[],
  settings: LifecycleSettings,
): Promise<Outcome<StartResponse>[]> {
  const runs = await lockRuns(
    trx,
    starts.map(({ runId }) => runId),
  );
  const decisions = starts.map((start) => decide(start, runs.get(start.runId), settings));
  await repeat(trx, decisions, settings);
  const begun = await beginRuns(
    trx,
    decisions.flatMap((decision) => ('begin' in decision ? [decision.begin] : [])),
    settings.leaseMs,
  );
  for (const run of begun.values()) if (run.kind === 'validation') await markValidationRunning(trx, run);
  for (const decision of decisions) if ('putBack' in decision) await putBackAttempt(trx, decision.putBack);
  const answers = await answer(trx, decisions, begun, settings);
  return decisions.map((decision, index) => {
    const given = answers.get(index);
    if (given !== undefined) return { value: given };
    if ('putBack' in decision) return { error: decision.why };
    return { error: 'refused' in decision ? decision.refused : superseded(starts[index]) };
  });
}

function decide(start: Start, run: RunRow | undefined, settings: LifecycleSettings): Decision {
  const { worker, attempt, nonce } = start;
  if (run === undefined || run.attempt !== attempt) return { refused: superseded(start) };
  const token = leaseToken(settings.jwtSecret, run.id, run.epoch, nonce);
  const tokenHash = hashToken(token);
  if (run.status === 'running' && run.worker_id === worker.id && run.lease_token_hash === tokenHash) {
    return { again: run, token };
  }
  if (run.status !== 'dispatched' || !mayTake(worker, run)) return { refused: superseded(start) };
  const unfit = unfitFor(worker, toPlace(run), settings.workerMinFreeDiskBytes);
  if (unfit !== null) {
    return { putBack: run, why: new XVaultError('WORKER_UNSUITABLE', { detail: `worker ${worker.id} ${unfit}` }) };
  }
  return { begin: { run, worker, tokenHash, snapshotId: makesSnapshot(run.kind) ? newId() : null }, token };
}

/** Backups, and copies for other keys, write under an id that only their attempt has. */
function makesSnapshot(kind: string): boolean {
  return kind === 'backup' || kind === 'maintenance';
}

function superseded(start: Start | undefined): XVaultError {
  const detail = `run ${start?.runId} does not wait for attempt ${start?.attempt} here`;
  return new XVaultError('ATTEMPT_SUPERSEDED', { detail });
}

function mayTake(worker: Pick<WorkerRow, 'id' | 'pool'>, run: RunRow): boolean {
  const only = run.worker_id ?? run.required_worker_id;
  return only === null ? run.pool === worker.pool : only === worker.id;
}

/** A worker counts its lease from the request that was answered, so a repeated one begins it anew. */
async function repeat(trx: Transaction<Database>, decisions: readonly Decision[], settings: LifecycleSettings) {
  const ids = decisions.flatMap((decision) => ('again' in decision ? [decision.again.id] : []));
  if (ids.length === 0) return;
  await trx
    .updateTable('runs')
    .set({ lease_expires_at: dbNow(settings.leaseMs), heartbeat_at: dbNow() })
    .where('id', 'in', ids)
    .execute();
}

/** By the index of the decision. */
async function answer(
  trx: Transaction<Database>,
  decisions: readonly Decision[],
  begun: ReadonlyMap<string, RunRow>,
  { leaseMs }: LifecycleSettings,
): Promise<Map<number, StartResponse>> {
  const given = decisions.flatMap((decision, index) => {
    const run =
      'again' in decision ? decision.again : 'begin' in decision ? begun.get(decision.begin.run.id) : undefined;
    return run === undefined || !('token' in decision) ? [] : [{ index, run, token: decision.token }];
  });
  const requests = given.map(({ run }) => ({ runId: run.id, tenantId: run.tenant_id, spec: runSpec.parse(run.spec) }));
  const secrets = await readStartSecrets(trx, requests);
  const followRoots = await readFollowRoots(trx, requests);
  const specs = await withKeptVersions(trx, requests);
  return new Map(
    given.map(({ index, run, token }, at) => {
      const [spec, secret, roots] = [specs[at], secrets[at], followRoots[at]];
      if (spec === undefined || secret === undefined) throw new Error('no answer about the secrets of a run');
      return [
        index,
        {
          run_id: run.id,
          tenant_id: run.tenant_id,
          kind: kindOf(run),
          attempt: run.attempt,
          epoch: run.epoch,
          lease_token: token,
          lease_ms: leaseMs,
          spec,
          snapshot_id: run.pending_snapshot_id,
          ...secret,
          ...(roots !== undefined && { follow_roots: roots }),
          bandwidth_limit_bps: null,
        },
      ];
    }),
  );
}

function kindOf(run: RunRow): RunKind {
  const kind = runKindNames.find((name) => name === run.kind);
  if (kind === undefined)
    throw new XVaultError('INTERNAL', { detail: `run ${run.id} has the unknown kind ${run.kind}` });
  return kind;
}
