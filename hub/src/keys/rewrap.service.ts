import { XVaultError } from '@xvault/shared/errors.ts';
import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, SnapshotRow } from '../db/schema.ts';
import { type DestinationRow, findKeptDestination } from '../destinations/destinations.repository.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { toSnapshotRef } from '../snapshots/snapshot-ref.ts';
import { ofSnapshot } from '../snapshots/snapshots.service.ts';
import { listTenantKeys, lockOthers, lockTenant } from './keys.repository.ts';
import { presentRecipients } from './keys.service.ts';

/** Snapshots taken up by one request. */
const maxSnapshots = 1000;

/** Queues a run for each snapshot that is not encrypted to exactly the present recipients and that has none yet. */
export async function rewrapSnapshots(
  db: Kysely<Database>,
  actor: Actor,
  tenantId: string,
): Promise<{ run_ids: string[]; unreadable: number; more: boolean }> {
  return db.transaction().execute(async (trx) => {
    // Held against a second request, which would queue the same snapshots.
    const tenant = await lockTenant(trx, tenantId);
    if (tenant === undefined) throw new XVaultError('NOT_FOUND');
    const recipients = presentRecipients(tenant);
    const held = await heldRecipients(trx, tenantId);
    const snapshots = await lockOthers(trx, tenantId, recipients, maxSnapshots);
    const readable = snapshots.filter(({ encryption }) => encryption.recipients.some((one) => held.has(one)));
    const destinations = await destinationsOf(trx, tenantId, readable);
    const runIds: string[] = [];
    for (const snapshot of readable) {
      const destination = destinations.get(snapshot.destination_id);
      if (destination === undefined) {
        throw new XVaultError('INTERNAL', { detail: `snapshot ${snapshot.id} has no destination` });
      }
      const run = await createRun(trx, {
        tenantId,
        kind: 'maintenance',
        trigger: 'manual',
        spec: {
          kind: 'maintenance',
          task: { type: 'rewrap', snapshot: toSnapshotRef(snapshot, destination), recipients },
        },
        ...ofSnapshot(snapshot),
      });
      runIds.push(run.id);
    }
    const details = { recipients, runs: runIds.length };
    const object = { objectType: 'tenant', objectId: tenantId };
    await writeAudit(trx, actor, { tenantId, action: 'tenant.key_rewrap', ...object, details });
    const unreadable = snapshots.length - readable.length;
    return { run_ids: runIds, unreadable, more: snapshots.length === maxSnapshots && runIds.length > 0 };
  });
}

async function heldRecipients(db: Kysely<Database>, tenantId: string): Promise<Set<string>> {
  const keys = await listTenantKeys(db, tenantId);
  return new Set(keys.filter((key) => key.identity_sealed !== null).map((key) => key.recipient));
}

async function destinationsOf(
  db: Kysely<Database>,
  tenantId: string,
  snapshots: readonly SnapshotRow[],
): Promise<Map<string, DestinationRow>> {
  const found = new Map<string, DestinationRow>();
  for (const id of new Set(snapshots.map(({ destination_id }) => destination_id))) {
    const destination = await findKeptDestination(db, tenantId, id);
    if (destination !== undefined) found.set(id, destination);
  }
  return found;
}
