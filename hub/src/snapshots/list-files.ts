import { type ErrorCode, errorCodes, XVaultError } from '@xvault/shared/errors.ts';
import { type FileEntry, type FileSearch, runResult } from '@xvault/shared/run-kinds.ts';
import { ownerOf } from '@xvault/shared/snapshots.ts';
import type { Kysely } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import type { AppDeps } from '../deps.ts';
import { cancelRun } from '../lifecycle/cancel.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { silentForMs } from '../workers/workers.repository.ts';
import { lockReadable, ofSnapshot } from './snapshots.service.ts';
import { waitForRun } from './wait-for-run.ts';

const workerSilentLimitMs = 60_000;

export interface FilesRequest {
  readonly tenantId: string;
  readonly snapshotId: string;
  readonly path: string;
  readonly recursive: boolean;
  readonly search: FileSearch | null;
  readonly offset: number;
  readonly limit: number;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

interface FilesPage {
  readonly entries: FileEntry[];
  readonly next_offset: number | null;
}

/**
 * Asks the worker that holds the snapshot to read a part of its index, which the Hub cannot, and waits for it. Throws
 * SNAPSHOT_UNAVAILABLE, TENANT_KEY_UNAVAILABLE, WORKER_OFFLINE, SERVICE_UNAVAILABLE when it takes too long, or what the run
 * failed with.
 */
export async function listFiles(deps: Pick<AppDeps, 'config' | 'open' | 'hubEvents'>, request: FilesRequest) {
  const { db } = deps.open;
  const { tenantId } = request;
  const asked = await askForFiles(db, request);
  const wait = { tenantId, runId: asked.id, timeoutMs: deps.config.filesTimeoutMs, signal: request.signal };
  const run = await waitForRun(db, deps.hubEvents, wait);
  if (run !== undefined) return takeResult(db, run);
  await cancelUnwanted(db, tenantId, asked.id);
  throw new XVaultError('SERVICE_UNAVAILABLE', { detail: `run ${asked.id} did not list files in time` });
}

async function askForFiles(db: Kysely<Database>, request: FilesRequest): Promise<RunRow> {
  const { tenantId, snapshotId, path, recursive, search, offset, limit } = request;
  return db.transaction().execute(async (trx) => {
    const { snapshot, ref } = await lockReadable(trx, tenantId, snapshotId);
    const owner = ownerOf(snapshot.locator);
    const silentMs = owner === null ? 0 : await silentForMs(trx, owner);
    if (silentMs === undefined || silentMs > workerSilentLimitMs) {
      throw new XVaultError('WORKER_OFFLINE', { detail: `worker ${owner}` });
    }
    const probe = { type: 'files', snapshot: ref, path, recursive, search, offset, limit } as const;
    return createRun(trx, {
      tenantId,
      kind: 'probe',
      trigger: 'api',
      spec: { kind: 'probe', probe },
      ...ofSnapshot(snapshot),
    });
  });
}

/** File names are kept no longer than it takes to deliver them. */
async function takeResult(db: Kysely<Database>, run: RunRow): Promise<FilesPage> {
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
  if (result.kind !== 'probe' || result.probe.type !== 'files') {
    throw new XVaultError('INTERNAL', { detail: `run ${run.id} has another kind of result` });
  }
  const { entries, next_offset } = result.probe;
  return { entries, next_offset };
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
