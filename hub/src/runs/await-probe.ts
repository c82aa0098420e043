import { type ErrorCode, errorCodes, XVaultError } from '@xvault/shared/errors.ts';
import { type ResultOf, runResult } from '@xvault/shared/run-kinds.ts';
import type { Kysely } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import type { AppDeps } from '../deps.ts';
import { cancelRun } from '../lifecycle/cancel.ts';
import { waitForRun } from './wait-for-run.ts';

/**
 * What a worker found, as soon as it has; its names are kept no longer than that. Throws SERVICE_UNAVAILABLE when it takes too
 * long, or what the run failed with.
 */
export async function awaitProbe(
  deps: Pick<AppDeps, 'config' | 'open' | 'hubEvents'>,
  { id: runId, tenant_id: tenantId }: RunRow,
  signal: AbortSignal,
): Promise<ResultOf<'probe'>['probe']> {
  const { db } = deps.open;
  const run = await waitForRun(db, deps.hubEvents, { tenantId, runId, timeoutMs: deps.config.filesTimeoutMs, signal });
  if (run !== undefined) return takeResult(db, run);
  await cancelUnwanted(db, tenantId, runId);
  throw new XVaultError('SERVICE_UNAVAILABLE', { detail: `run ${runId} did not answer in time` });
}

async function takeResult(db: Kysely<Database>, run: RunRow): Promise<ResultOf<'probe'>['probe']> {
  await db
    .updateTable('runs')
    .set({ result: null })
    .where('tenant_id', '=', run.tenant_id)
    .where('id', '=', run.id)
    .execute();
  if (run.status !== 'success' && run.status !== 'warning') {
    throw new XVaultError(knownCode(run.error_code), { detail: `run ${run.id} ended ${run.status}` });
  }
  const result = runResult.parse(run.result);
  if (result.kind !== 'probe') throw new XVaultError('INTERNAL', { detail: `run ${run.id} is no probe` });
  return result.probe;
}

function knownCode(code: string | null): ErrorCode {
  return errorCodes.find((known) => known === code) ?? 'SERVICE_UNAVAILABLE';
}

async function cancelUnwanted(db: Kysely<Database>, tenantId: string, runId: string): Promise<void> {
  try {
    await cancelRun(db, { userId: null, address: null }, tenantId, runId);
  } catch (error) {
    // It ended in this very moment; its result is cleared with the others that nobody fetched.
    if (!(error instanceof XVaultError && error.code === 'RUN_NOT_CANCELLABLE')) throw error;
  }
}
