import { type DestinationConnection, destinationConnection } from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { seal } from '@xvault/shared/sealing.ts';
import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database } from '../db/schema.ts';
import {
  type DestinationRow,
  findDestination,
  findDestinationForUpdate,
  insertDestination,
  isDestinationInUse,
  markDestinationDeleted,
} from './destinations.repository.ts';
import type { CreateDestination } from './destinations.schema.ts';

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

/** Throws CONFLICT while a job uses it. */
export async function deleteDestination(db: Db, actor: Actor, tenantId: string, destinationId: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const destination = await findDestinationForUpdate(trx, tenantId, destinationId);
    if (destination === undefined) throw new XVaultError('NOT_FOUND');
    if (await isDestinationInUse(trx, tenantId, destinationId)) throw new XVaultError('CONFLICT');
    await markDestinationDeleted(trx, tenantId, destinationId);
    await writeAudit(trx, actor, { tenantId, action: 'destination.delete', objectType, objectId: destinationId });
  });
}
