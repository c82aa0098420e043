import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { ownerOf } from '@xvault/shared/snapshots.ts';
import type { Kysely, Transaction } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, RunRow, SnapshotRow, TenantRow } from '../db/schema.ts';
import { findKeptDestination } from '../destinations/destinations.repository.ts';
import { insertExport } from '../exports/exports.repository.ts';
import { once } from '../idempotency/idempotency.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { isAllowedPath } from '../sources/local-path.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import { toSnapshotRef } from './snapshot-ref.ts';
import { findSnapshot, findSnapshotShared } from './snapshots.repository.ts';
import type { RestoreBody } from './snapshots.schema.ts';

type Db = Kysely<Database>;
type Trx = Transaction<Database>;

interface SnapshotRequest {
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

/** The snapshot, kept from deletion until the end of the transaction. Throws SNAPSHOT_UNAVAILABLE or TENANT_KEY_UNAVAILABLE. */
export async function lockReadable(trx: Trx, tenantId: string, snapshotId: string) {
  const snapshot = await findSnapshotShared(trx, tenantId, snapshotId);
  if (snapshot === undefined) throw new XVaultError('NOT_FOUND');
  if (snapshot.status !== 'committed') throw new XVaultError('SNAPSHOT_UNAVAILABLE', { detail: snapshot.status });
  const tenant: TenantRow = await getTenant(trx, tenantId);
  if (tenant.identity_sealed === null) throw new XVaultError('TENANT_KEY_UNAVAILABLE');
  const destination = await findKeptDestination(trx, tenantId, snapshot.destination_id);
  if (destination === undefined)
    throw new XVaultError('INTERNAL', { detail: `snapshot ${snapshotId} has no destination` });
  return { snapshot, tenant, ref: toSnapshotRef(snapshot, destination) };
}

/** Queues a restore. Throws PATH_NOT_ALLOWED for a directory outside those that the operator gave the tenant. */
export async function restoreSnapshot(
  db: Db,
  actor: Actor,
  { tenantId, snapshotId, idempotencyKey: key }: SnapshotRequest,
  { paths, target }: RestoreBody,
  exportTtlHours: number,
): Promise<RunRow> {
  return db.transaction().execute((trx) =>
    once(trx, { tenantId, scope: `restore:${snapshotId}`, key }, async () => {
      const { snapshot, tenant, ref } = await lockReadable(trx, tenantId, snapshotId);
      if (target.type === 'directory' && !isAllowedPath(tenant, target.path)) {
        throw new XVaultError('PATH_NOT_ALLOWED');
      }
      const workerId = ownerOf(snapshot.locator);
      const exportId = target.type === 'export' ? newId() : null;
      const expiresAt = new Date(Date.now() + exportTtlHours * 3_600_000);
      const run = await createRun(trx, {
        tenantId,
        kind: 'restore',
        trigger: 'manual',
        spec: {
          kind: 'restore',
          snapshot: ref,
          paths,
          target,
          export_id: exportId,
          export_expires_at: exportId === null ? null : expiresAt.toISOString(),
        },
        ...ofSnapshot(snapshot),
        exportId,
      });
      if (target.type === 'export' && exportId !== null) {
        const file = { id: exportId, runId: run.id, workerId, format: target.format, expiresAt };
        await insertExport(trx, tenantId, snapshotId, file);
      }
      const details = { run_id: run.id, target, path_count: paths?.length ?? null };
      const object = { objectType: 'snapshot', objectId: snapshotId };
      await writeAudit(trx, actor, { tenantId, action: 'snapshot.restore', ...object, details });
      return run;
    }),
  );
}

/** Queues a verification of everything that the snapshot holds. */
export async function validateSnapshot(
  db: Db,
  actor: Actor,
  { tenantId, snapshotId, idempotencyKey: key }: SnapshotRequest,
): Promise<RunRow> {
  return db.transaction().execute((trx) =>
    once(trx, { tenantId, scope: `validate:${snapshotId}`, key }, async () => {
      const { snapshot, ref } = await lockReadable(trx, tenantId, snapshotId);
      const run = await createRun(trx, {
        tenantId,
        kind: 'validation',
        trigger: 'manual',
        spec: { kind: 'validation', snapshot: ref },
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
