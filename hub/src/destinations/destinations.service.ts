import {
  type DestinationConnection,
  type DestinationType,
  destinationConfigs,
  destinationConnection,
  destinationSecrets,
} from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { seal } from '@xvault/shared/sealing.ts';
import type { Kysely, Transaction } from 'kysely';
import type { z } from 'zod';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, RunRow } from '../db/schema.ts';
import { parseField } from '../http/parse-field.ts';
import { invalidField } from '../http/problem.ts';
import { createRun } from '../lifecycle/create-run.ts';
import {
  type DestinationRow,
  findDestination,
  findDestinationForUpdate,
  holdsSnapshots,
  insertDestination,
  isDestinationInUse,
  updateDestination,
} from './destinations.repository.ts';
import type { CreateDestination, PatchDestination } from './destinations.schema.ts';

type Db = Kysely<Database>;
const objectType = 'destination';

/** What a run's spec carries of a destination. */
export function toDestinationConnection({ type, config }: DestinationRow): DestinationConnection {
  return destinationConnection.parse({ type, config });
}

export async function createDestination(
  db: Db,
  actor: Actor,
  tenantId: string,
  credentialsRecipient: string,
  body: CreateDestination,
) {
  const { name, type, config } = body;
  const secretSealed = 'secret' in body ? await seal(JSON.stringify(body.secret), credentialsRecipient) : null;
  return db.transaction().execute(async (trx) => {
    const destination = await insertDestination(trx, {
      id: newId(),
      tenant_id: tenantId,
      name,
      type,
      config: JSON.stringify(config),
      secret_sealed: secretSealed,
    });
    const object = { objectType, objectId: destination.id };
    await writeAudit(trx, actor, { tenantId, action: 'destination.create', ...object, details: { name, type } });
    return destination;
  });
}

/** Throws NOT_FOUND. */
export async function getDestination(db: Db, tenantId: string, destinationId: string): Promise<DestinationRow> {
  const destination = await findDestination(db, tenantId, destinationId);
  if (destination === undefined) throw new XVaultError('NOT_FOUND');
  return destination;
}

/** Throws NOT_FOUND, BAD_REQUEST, and CONFLICT when another bucket or directory is named while there are snapshots in the present one. */
export async function patchDestination(
  db: Db,
  actor: Actor,
  tenantId: string,
  destinationId: string,
  credentialsRecipient: string,
  { name, config: newConfig, secret }: PatchDestination,
): Promise<DestinationRow> {
  const { type } = toDestinationConnection(await getDestination(db, tenantId, destinationId));
  const config = newConfig === undefined ? undefined : parseConfig(type, newConfig);
  const sealed = secret === undefined ? undefined : await sealSecret(type, secret, credentialsRecipient);
  return db.transaction().execute(async (trx) => {
    const current = toDestinationConnection(await lockDestination(trx, tenantId, destinationId));
    const moved = config !== undefined && placeOf(current.config) !== placeOf(config);
    if (moved && (await holdsSnapshots(trx, tenantId, destinationId))) {
      throw new XVaultError('CONFLICT', { detail: 'there are snapshots in the present place' });
    }
    const values = {
      ...(name !== undefined && { name }),
      ...(config !== undefined && { config: JSON.stringify(config) }),
      ...(sealed !== undefined && { secret_sealed: sealed }),
    };
    const destination = await updateDestination(trx, tenantId, destinationId, values);
    const details = { changed: Object.keys(values) };
    await writeAudit(trx, actor, {
      tenantId,
      action: 'destination.update',
      objectType,
      objectId: destinationId,
      details,
    });
    return destination;
  });
}

function parseConfig(type: DestinationType, config: unknown): DestinationConnection['config'] {
  return parseField<z.ZodType<DestinationConnection['config']>>('config', destinationConfigs[type], config);
}

async function sealSecret(type: DestinationType, secret: unknown, recipient: string): Promise<string> {
  const schema = destinationSecrets[type];
  if (schema === null) throw invalidField('secret', 'a destination of this type has none');
  return seal(JSON.stringify(parseField<z.ZodType<object>>('secret', schema, secret)), recipient);
}

/** What cannot change while there are snapshots: the bucket, or the directory. */
function placeOf(config: DestinationConnection['config']): string | null {
  if ('bucket' in config) return config.bucket;
  return 'path' in config ? config.path : null;
}

async function lockDestination(trx: Transaction<Database>, tenantId: string, id: string): Promise<DestinationRow> {
  const destination = await findDestinationForUpdate(trx, tenantId, id);
  if (destination === undefined) throw new XVaultError('NOT_FOUND');
  return destination;
}

/** Queues a test of a destination: a small object is written, read and removed. Throws NOT_FOUND. */
export async function probeDestination(db: Db, actor: Actor, tenantId: string, destinationId: string): Promise<RunRow> {
  return db.transaction().execute(async (trx) => {
    const destination = toDestinationConnection(await lockDestination(trx, tenantId, destinationId));
    const run = await createRun(trx, {
      tenantId,
      kind: 'probe',
      trigger: 'manual',
      spec: { kind: 'probe', probe: { type: 'destination', destination_id: destinationId, destination } },
      destinationId,
    });
    await writeAudit(trx, actor, { tenantId, action: 'destination.probe', objectType, objectId: destinationId });
    return run;
  });
}

/** Throws CONFLICT while a job or a run uses it, or there are snapshots in it: nothing else could open them. */
export async function deleteDestination(db: Db, actor: Actor, tenantId: string, destinationId: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await lockDestination(trx, tenantId, destinationId);
    if (await isDestinationInUse(trx, tenantId, destinationId)) throw new XVaultError('CONFLICT');
    if (await holdsSnapshots(trx, tenantId, destinationId)) throw new XVaultError('CONFLICT');
    await updateDestination(trx, tenantId, destinationId, { status: 'deleted', secret_sealed: null });
    await writeAudit(trx, actor, { tenantId, action: 'destination.delete', objectType, objectId: destinationId });
  });
}
