import type { FileSearch } from '@xvault/shared/browse.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileEntry } from '@xvault/shared/run-kinds.ts';
import { ownerOf } from '@xvault/shared/snapshots.ts';
import type { Kysely } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import type { AppDeps } from '../deps.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { awaitProbe } from '../runs/await-probe.ts';
import { silentForMs } from '../workers/workers.repository.ts';
import { lockReadable, ofSnapshot } from './snapshots.service.ts';

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
export async function listFiles(
  deps: Pick<AppDeps, 'config' | 'open' | 'hubEvents'>,
  request: FilesRequest,
): Promise<FilesPage> {
  const asked = await askForFiles(deps.open.db, request);
  const probe = await awaitProbe(deps, asked, request.signal);
  if (probe.type !== 'files')
    throw new XVaultError('INTERNAL', { detail: `run ${asked.id} has another kind of result` });
  const { entries, next_offset } = probe;
  return { entries, next_offset };
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
