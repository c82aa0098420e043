import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { seal } from '@xvault/shared/sealing.ts';
import {
  pinsHostKey,
  type SourceConnection,
  type SourceType,
  sourceConfigs,
  sourceSecrets,
} from '@xvault/shared/sources.ts';
import type { Kysely, Transaction } from 'kysely';
import type { z } from 'zod';
import { type Actor, writeAudit } from '../audit/audit.ts';
import { requireConnection } from '../connections/require-connection.ts';
import type { Database, RunRow } from '../db/schema.ts';
import { parseField } from '../http/parse-field.ts';
import { invalidField } from '../http/problem.ts';
import { createRunMaker } from '../lifecycle/create-run.ts';
import { createReader } from '../loops/batcher.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import { sourceHost, toConnection } from './connection.ts';
import { requireSignIn, sealGiven } from './given-secret.ts';
import { requireAllowedSource } from './local-path.ts';
import {
  findSource,
  findSourceForUpdate,
  findSourcesWithTenants,
  insertSource,
  isSourceInUse,
  type SourceRow,
  updateSource,
} from './sources.repository.ts';
import type { CreateSource, PatchSource } from './sources.schema.ts';

type Db = Kysely<Database>;
type Trx = Transaction<Database>;

function audited(trx: Trx, actor: Actor, tenantId: string, action: string, objectId: string, details?: object) {
  const more = details === undefined ? {} : { details: { ...details } };
  return writeAudit(trx, actor, { tenantId, action: `source.${action}`, objectType: 'source', objectId, ...more });
}

export async function createSource(
  db: Db,
  actor: Actor,
  tenantId: string,
  credentialsRecipient: string,
  body: CreateSource,
): Promise<SourceRow> {
  requireAllowedSource(await getTenant(db, tenantId), body);
  requireSignIn(body);
  const secretSealed = await sealGiven(body, credentialsRecipient);
  return db.transaction().execute(async (trx) => {
    await requireConnection(trx, tenantId, body);
    const source = await insertSource(trx, {
      id: newId(),
      tenant_id: tenantId,
      name: body.name,
      type: body.type,
      config: JSON.stringify(body.config),
      secret_sealed: secretSealed,
      host_key: 'host_key' in body ? (body.host_key ?? null) : null,
      last_probe: null,
    });
    await audited(trx, actor, tenantId, 'create', source.id, { name: body.name, type: body.type });
    return source;
  });
}

/** Throws NOT_FOUND. */
export async function getSource(db: Db, tenantId: string, sourceId: string): Promise<SourceRow> {
  const source = await findSource(db, tenantId, sourceId);
  if (source === undefined) throw new XVaultError('NOT_FOUND');
  return source;
}

async function lockSource(trx: Trx, tenantId: string, sourceId: string): Promise<SourceRow> {
  const source = await findSourceForUpdate(trx, tenantId, sourceId);
  if (source === undefined) throw new XVaultError('NOT_FOUND');
  return source;
}

/** Another host or port has another key: the pinned one is dropped, to be seen anew by a connection test. */
export async function patchSource(
  db: Db,
  actor: Actor,
  tenantId: string,
  sourceId: string,
  credentialsRecipient: string,
  { name, config: newConfig, secret }: PatchSource,
): Promise<SourceRow> {
  const before = await getSource(db, tenantId, sourceId);
  const { type } = toConnection(before);
  const config = newConfig === undefined ? undefined : parseConfig(type, newConfig);
  if (config !== undefined) {
    requireAllowedSource(await getTenant(db, tenantId), { type, config } as SourceConnection);
  }
  const sealed = secret === undefined ? undefined : await sealSecret(type, secret, credentialsRecipient);
  return db.transaction().execute(async (trx) => {
    const current = toConnection(await lockSource(trx, tenantId, sourceId));
    if (config !== undefined) await requireConnection(trx, tenantId, { type, config });
    const values = {
      ...(name !== undefined && { name }),
      ...(config !== undefined && { config: JSON.stringify(config) }),
      ...(sealed !== undefined && { secret_sealed: sealed }),
    };
    const moved =
      config !== undefined && sourceHost({ ...current, config } as SourceConnection) !== sourceHost(current);
    const source = await updateSource(trx, tenantId, sourceId, { ...values, ...(moved && { host_key: null }) });
    await audited(trx, actor, tenantId, 'update', sourceId, { changed: Object.keys(values) });
    return source;
  });
}

function parseConfig(type: SourceType, config: unknown): SourceConnection['config'] {
  return parseField<z.ZodType<SourceConnection['config']>>('config', sourceConfigs[type], config);
}

async function sealSecret(type: SourceType, secret: unknown, recipient: string): Promise<string> {
  const schema = sourceSecrets[type];
  if (schema === null) throw invalidField('secret', 'a source of this type has none');
  return seal(JSON.stringify(parseField<z.ZodType<object>>('secret', schema, secret)), recipient);
}

/** Throws CONFLICT while a job uses it. */
export async function deleteSource(db: Db, actor: Actor, tenantId: string, sourceId: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await lockSource(trx, tenantId, sourceId);
    if (await isSourceInUse(trx, tenantId, sourceId)) throw new XVaultError('CONFLICT');
    await updateSource(trx, tenantId, sourceId, { status: 'deleted', secret_sealed: null });
    await audited(trx, actor, tenantId, 'delete', sourceId);
  });
}

export async function acceptHostKey(db: Db, actor: Actor, tenantId: string, sourceId: string, fingerprint: string) {
  return db.transaction().execute(async (trx) => {
    const source = await lockSource(trx, tenantId, sourceId);
    if (!pinsHostKey[toConnection(source).type])
      throw invalidField('fingerprint', 'a source of this type has no host key');
    const details = { from: source.host_key, to: fingerprint };
    const updated = await updateSource(trx, tenantId, sourceId, { host_key: fingerprint });
    await audited(trx, actor, tenantId, 'accept_host_key', sourceId, details);
    return updated;
  });
}

/** Queues a connection test of a source. Throws NOT_FOUND. */
export type Prober = (actor: Actor, tenantId: string, sourceId: string) => Promise<RunRow>;

/**
 * Requests of one moment are read and written together. Nothing is locked: a test of a source that is just being deleted harms
 * nobody, and tests of one source must not wait for each other.
 */
export function createProber(db: Db): Prober {
  const makeRun = createRunMaker(db);
  const findIt = createReader((ids) => findSourcesWithTenants(db, ids));
  return async (actor, tenantId, sourceId) => {
    const found = await findIt(sourceId);
    if (found?.tenant_id !== tenantId) throw new XVaultError('NOT_FOUND');
    const source = toConnection(found);
    requireAllowedSource({ local_paths: found.tenant_local_paths }, source);
    return makeRun({
      run: {
        tenantId,
        kind: 'probe',
        trigger: 'manual',
        spec: { kind: 'probe', probe: { type: 'source', source_id: sourceId, source } },
        sourceId,
        sourceHost: sourceHost(source),
      },
      audit: { actor, entry: { tenantId, action: 'source.probe', objectType: 'source', objectId: sourceId } },
    });
  };
}
