import { XVaultError } from '@xvault/shared/errors.ts';
import type { BrowseRequest, BrowseWhat, ResultOf } from '@xvault/shared/run-kinds.ts';
import type { SourceType } from '@xvault/shared/sources.ts';
import type { AppDeps } from '../deps.ts';
import { invalidField } from '../http/problem.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { awaitProbe } from '../runs/await-probe.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import { sourceHost, toConnection } from './connection.ts';
import { requireAllowedSource } from './local-path.ts';
import { findSourceShared } from './sources.repository.ts';

/** What each kind of source can list. */
const lists: Partial<Record<SourceType, readonly BrowseWhat[]>> = {
  local: ['folders'],
  sftp: ['folders'],
  ssh: ['folders'],
  ftp: ['folders'],
  s3: ['buckets', 'folders'],
  webdav: ['folders'],
  smb: ['buckets', 'folders'],
  google_drive: ['drives', 'folders'],
  dropbox: ['folders'],
};

export interface BrowseAsked {
  readonly tenantId: string;
  readonly sourceId: string;
  readonly request: BrowseRequest;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

/** Asks a worker what a source could be pointed at, and waits for it. Throws NOT_FOUND, BAD_REQUEST, SOURCE_…, SERVICE_UNAVAILABLE. */
export async function browseSource(
  deps: Pick<AppDeps, 'config' | 'open' | 'hubEvents'>,
  { tenantId, sourceId, request, signal }: BrowseAsked,
): Promise<Omit<Extract<ResultOf<'probe'>['probe'], { type: 'browse' }>, 'type'>> {
  const run = await deps.open.db.transaction().execute(async (trx) => {
    const row = await findSourceShared(trx, tenantId, sourceId);
    if (row === undefined) throw new XVaultError('NOT_FOUND');
    const source = toConnection(row);
    requireAllowedSource(await getTenant(trx, tenantId), source);
    if (lists[source.type]?.includes(request.what) !== true) {
      throw invalidField('what', 'a source of this type has none');
    }
    return createRun(trx, {
      tenantId,
      kind: 'probe',
      trigger: 'api',
      spec: { kind: 'probe', probe: { type: 'browse', source_id: sourceId, source, ...request } },
      sourceId,
      sourceHost: sourceHost(source),
    });
  });
  const found = await awaitProbe(deps, run, signal);
  if (found.type !== 'browse')
    throw new XVaultError('INTERNAL', { detail: `run ${run.id} has another kind of result` });
  const { items, next_cursor } = found;
  return { items, next_cursor };
}
