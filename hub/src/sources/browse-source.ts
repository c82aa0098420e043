import type { BrowseRequest, BrowseWhat } from '@xvault/shared/browse.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ResultOf } from '@xvault/shared/run-kinds.ts';
import type { SourceType } from '@xvault/shared/sources.ts';
import type { RunRow } from '../db/schema.ts';
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

export type Browsed = Omit<Extract<ResultOf<'probe'>['probe'], { type: 'browse' }>, 'type'>;

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
): Promise<Browsed> {
  const run = await deps.open.db.transaction().execute(async (trx) => {
    const row = await findSourceShared(trx, tenantId, sourceId);
    if (row === undefined) throw new XVaultError('NOT_FOUND');
    const source = toConnection(row);
    requireAllowedSource(await getTenant(trx, tenantId), source);
    requireListed(source.type, request.what);
    return createRun(trx, {
      tenantId,
      kind: 'probe',
      trigger: 'api',
      spec: { kind: 'probe', probe: { type: 'browse', source_id: sourceId, source, ...request } },
      sourceId,
      sourceHost: sourceHost(source),
    });
  });
  return takeBrowsed(deps, run, signal);
}

/** Throws BAD_REQUEST where a source of this type has none of them. */
export function requireListed(type: SourceType, what: BrowseWhat): void {
  if (lists[type]?.includes(what) !== true) throw invalidField('what', 'a source of this type has none');
}

/** Waits for what a worker lists. Throws SOURCE_…, SERVICE_UNAVAILABLE. */
export async function takeBrowsed(
  deps: Pick<AppDeps, 'config' | 'open' | 'hubEvents'>,
  run: RunRow,
  signal: AbortSignal,
): Promise<Browsed> {
  const found = await awaitProbe(deps, run, signal);
  if (found.type !== 'browse')
    throw new XVaultError('INTERNAL', { detail: `run ${run.id} has another kind of result` });
  const { items, next_cursor } = found;
  return { items, next_cursor };
}
