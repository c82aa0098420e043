import type { BrowseRequest } from '@xvault/shared/browse.ts';
import { type SourceConnection, sourceHost } from '@xvault/shared/sources.ts';
import { type Actor, writeAudit } from '../audit/audit.ts';
import { requireConnection } from '../connections/require-connection.ts';
import type { RunRow } from '../db/schema.ts';
import type { AppDeps } from '../deps.ts';
import { invalidField } from '../http/problem.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { insertRunSourceSecret } from '../lifecycle/run-secrets.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import { type Browsed, requireListed, takeBrowsed } from './browse-source.ts';
import { toConnection } from './connection.ts';
import { requireSignIn, sealGiven } from './given-secret.ts';
import { requireAllowedSource } from './local-path.ts';
import { type BrowseUnsaved, type UnsavedSource, unchosen } from './sources.schema.ts';

type Deps = Pick<AppDeps, 'config' | 'open' | 'hubEvents'>;
type Question = { readonly type: 'source' } | ({ readonly type: 'browse' } & BrowseRequest);

/**
 * Queues a connection test of a source that is not saved. Its secret is sealed at once and goes with the end of the run; what was
 * found is the run's result. Throws PATH_NOT_ALLOWED, BAD_REQUEST.
 */
export async function probeUnsaved(deps: Deps, actor: Actor, tenantId: string, given: UnsavedSource): Promise<RunRow> {
  return ask(deps, actor, tenantId, given, { type: 'source' });
}

/** As {@link browseSource}, of a source that is not saved. */
export async function browseUnsaved(
  deps: Deps,
  actor: Actor,
  tenantId: string,
  { what, parent, cursor, limit, ...given }: BrowseUnsaved,
  signal: AbortSignal,
): Promise<Browsed> {
  requireListed(given.type, what);
  if (what !== 'buckets') requireChosen(given);
  const run = await ask(deps, actor, tenantId, given, { type: 'browse', what, parent, cursor, limit });
  return takeBrowsed(deps, run, signal);
}

/** Throws BAD_REQUEST. */
function requireChosen({ type, config }: UnsavedSource): void {
  if (type === 's3' && config.bucket === unchosen) throw invalidField('config.bucket', 'is missing');
  if (type === 'smb' && config.share === unchosen) throw invalidField('config.share', 'is missing');
}

async function ask(
  { config, open }: Deps,
  actor: Actor,
  tenantId: string,
  given: UnsavedSource,
  question: Question,
): Promise<RunRow> {
  const host_key = 'host_key' in given ? (given.host_key ?? null) : null;
  const source: SourceConnection = toConnection({ type: given.type, config: given.config, host_key });
  requireAllowedSource(await getTenant(open.db, tenantId), source);
  requireSignIn(given);
  const sealed = await sealGiven(given, config.credentialsRecipient);
  return open.db.transaction().execute(async (trx) => {
    await requireConnection(trx, tenantId, source);
    const run = await createRun(trx, {
      tenantId,
      kind: 'probe',
      trigger: question.type === 'browse' ? 'api' : 'manual',
      spec: { kind: 'probe', probe: { ...question, source_id: null, source } },
      sourceHost: sourceHost(source),
    });
    if (sealed !== null) await insertRunSourceSecret(trx, run.id, sealed);
    const action = question.type === 'browse' ? 'source.browse' : 'source.probe';
    const details = { type: given.type, run_id: run.id, saved: false };
    await writeAudit(trx, actor, { tenantId, action, objectType: 'source', details });
    return run;
  });
}
