import { XVaultError } from '@xvault/shared/errors.ts';
import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, RunRow, SnapshotRow } from '../db/schema.ts';
import { findKeptDestination } from '../destinations/destinations.repository.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { readKeptVersions } from '../lifecycle/kept-versions.ts';
import { toSnapshotRef } from './snapshot-ref.ts';
import { findSnapshotForUpdate, hasAnotherCommitted, listOpenRuns, setSnapshotStatus } from './snapshots.repository.ts';
import { ofSnapshot } from './snapshots.service.ts';

interface DeleteRequest {
  readonly tenantId: string;
  readonly snapshotId: string;
  /** Also the last good one of its source. A lock holds nevertheless. */
  readonly force: boolean;
}

/**
 * Takes a snapshot out of use and queues the run that removes its bytes; asked again, gives that run, or makes another when it
 * ended without success. Null when the snapshot is deleted already. Throws NOT_FOUND, CONFLICT while a run reads it,
 * SNAPSHOT_LOCKED, SNAPSHOT_LAST.
 */
export async function deleteSnapshot(
  db: Kysely<Database>,
  actor: Actor,
  { tenantId, snapshotId, force }: DeleteRequest,
): Promise<RunRow | null> {
  return db.transaction().execute(async (trx) => {
    const snapshot = await findSnapshotForUpdate(trx, tenantId, snapshotId);
    if (snapshot === undefined) throw new XVaultError('NOT_FOUND');
    if (snapshot.status === 'deleted') return null;
    const open = await listOpenRuns(trx, tenantId, snapshotId);
    const deleting = open.find((run) => run.kind === 'retention');
    if (deleting !== undefined) return deleting;
    if (open.some((run) => run.kind !== 'backup')) throw new XVaultError('CONFLICT', { detail: 'a run reads it' });
    requireUnlocked(snapshot);
    if (snapshot.status === 'committed' && !force && !(await hasAnotherCommitted(trx, snapshot))) {
      throw new XVaultError('SNAPSHOT_LAST');
    }
    const destination = await findKeptDestination(trx, tenantId, snapshot.destination_id);
    if (destination === undefined)
      throw new XVaultError('INTERNAL', { detail: `snapshot ${snapshotId} has no destination` });
    await setSnapshotStatus(trx, tenantId, snapshotId, 'deleting');
    const ref = toSnapshotRef(snapshot, destination);
    const kept = await readKeptVersions(trx, [{ tenantId, snapshot: ref }]);
    const run = await createRun(trx, {
      tenantId,
      kind: 'retention',
      trigger: 'manual',
      // Those known now; each start of the run asks again.
      spec: { kind: 'retention', snapshot: ref, keep_versions: kept.get(snapshotId) ?? [] },
      ...ofSnapshot(snapshot),
    });
    const details = { run_id: run.id, force };
    const object = { objectType: 'snapshot', objectId: snapshotId };
    await writeAudit(trx, actor, { tenantId, action: 'snapshot.delete', ...object, details });
    return run;
  });
}

function requireUnlocked({ locked_until }: SnapshotRow): void {
  if (locked_until === null || locked_until <= new Date()) return;
  throw new XVaultError('SNAPSHOT_LOCKED', { params: { locked_until: locked_until.toISOString() } });
}
