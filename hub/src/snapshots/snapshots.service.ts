import { XVaultError } from '@xvault/shared/errors.ts';
import type { ValidationLevel } from '@xvault/shared/run-kinds.ts';
import { ownerOf } from '@xvault/shared/snapshots.ts';
import type { Kysely, Transaction } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, RunRow, SnapshotRow, TenantRow } from '../db/schema.ts';
import { findKeptDestination } from '../destinations/destinations.repository.ts';
import { once } from '../idempotency/idempotency.ts';
import { opensSnapshot } from '../keys/keys.repository.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import { toSnapshotRef } from './snapshot-ref.ts';
import { findSnapshot, findSnapshotShared } from './snapshots.repository.ts';

type Db = Kysely<Database>;
type Trx = Transaction<Database>;

export interface SnapshotRequest {
  readonly tenantId: string;
  readonly snapshotId: string;
  readonly idempotencyKey: string | undefined;
}

/** Throws NOT_FOUND. */
export async function getSnapshot(db: Db, tenantId: string, snapshotId: string): Promise<SnapshotRow> {
  const snapshot = await findSnapshot(db, tenantId, snapshotId);
  if (snapshot === undefined) throw new XVaultError('NOT_FOUND');
  return snapshot;
}

/**
 * The snapshot, kept from deletion until the end of the transaction. Throws SNAPSHOT_UNAVAILABLE, and TENANT_KEY_UNAVAILABLE where the
 * platform has no key that opens it, if it needs one.
 */
export async function lockReadable(trx: Trx, tenantId: string, snapshotId: string, { needsKey = true } = {}) {
  const snapshot = await findSnapshotShared(trx, tenantId, snapshotId);
  if (snapshot === undefined) throw new XVaultError('NOT_FOUND');
  if (snapshot.status !== 'committed') throw new XVaultError('SNAPSHOT_UNAVAILABLE', { detail: snapshot.status });
  const tenant: TenantRow = await getTenant(trx, tenantId);
  if (needsKey && !(await opensSnapshot(trx, tenantId, snapshot.encryption))) {
    throw new XVaultError('TENANT_KEY_UNAVAILABLE');
  }
  const destination = await findKeptDestination(trx, tenantId, snapshot.destination_id);
  if (destination === undefined)
    throw new XVaultError('INTERNAL', { detail: `snapshot ${snapshotId} has no destination` });
  return { snapshot, tenant, ref: toSnapshotRef(snapshot, destination) };
}

/** Queues a verification. Where the platform has no key, what is stored is compared, but not opened. */
export async function validateSnapshot(
  db: Db,
  actor: Actor,
  { tenantId, snapshotId, idempotencyKey: key }: SnapshotRequest,
  level: ValidationLevel,
): Promise<RunRow> {
  return db.transaction().execute((trx) =>
    once(trx, { tenantId, scope: `validate:${snapshotId}`, key }, async () => {
      const { snapshot, ref } = await lockReadable(trx, tenantId, snapshotId, { needsKey: false });
      const opened = await opensSnapshot(trx, tenantId, snapshot.encryption);
      const run = await createRun(trx, {
        tenantId,
        kind: 'validation',
        trigger: 'manual',
        spec: { kind: 'validation', snapshot: ref, level, opened },
        ...ofSnapshot(snapshot),
      });
      const object = { objectType: 'snapshot', objectId: snapshotId };
      await writeAudit(trx, actor, { tenantId, action: 'snapshot.validate', ...object, details: { run_id: run.id } });
      return run;
    }),
  );
}

/** Columns of a run that reads the snapshot: only the worker that holds it can. */
export function ofSnapshot({ id, job_id, source_id, destination_id, locator }: SnapshotRow) {
  const ids = { snapshotId: id, jobId: job_id, sourceId: source_id, destinationId: destination_id };
  return { ...ids, requiredWorkerId: ownerOf(locator) };
}
