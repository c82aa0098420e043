import { type ResultOf, runSpec, type SpecOf } from '@xvault/shared/run-kinds.ts';
import { type Locator, ownerOf } from '@xvault/shared/snapshots.ts';
import type { Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { dbNow } from './clock.ts';
import { createRun } from './create-run.ts';
import { toPgJson } from './pg-text.ts';

type Rewrapped = ResultOf<'maintenance'>['task'];

/** Runs that were made with the old copy's place in their spec may still come to read it. */
const oldCopyKeptMs = 24 * 3_600_000;

/** Why the result cannot be what this attempt was asked to make; null when it can. */
export function wrongRewrap(run: RunRow, { task }: ResultOf<'maintenance'>): string | null {
  const { recipients, snapshot } = rewrapSpec(run).task;
  const owner = ownerOf(task.locator);
  if (owner !== ownerOf(snapshot.locator) || (owner !== null && owner !== run.worker_id)) {
    return 'the copy of the snapshot is said to be with another worker';
  }
  if (!keyOf(task.locator).endsWith(`/${run.pending_snapshot_id}`))
    return 'the copy has another id than the attempt was given';
  const used = new Set(task.encryption.recipients);
  const isSame = used.size === new Set(recipients).size && recipients.every((recipient) => used.has(recipient));
  return isSame ? null : 'the snapshot is not encrypted to exactly the recipients that were asked for';
}

/**
 * From here on the copy is the snapshot, and the old one goes. False when the snapshot is no longer what was copied: it
 * was deleted, found to be damaged, or copied by another run.
 */
export async function commitRewrap(trx: Transaction<Database>, run: RunRow, task: Rewrapped): Promise<boolean> {
  const { snapshot } = rewrapSpec(run).task;
  const { type: _, locator, encryption, ...files } = task;
  const updated = await trx
    .updateTable('snapshots')
    .set({
      ...files,
      locator: toPgJson(locator),
      encryption: toPgJson(encryption),
      stored_bytes: task.artifact_bytes + task.index_bytes,
    })
    .where('tenant_id', '=', run.tenant_id)
    .where('id', '=', snapshot.snapshot_id)
    .where('status', '=', 'committed')
    .where('artifact_sha256', '=', snapshot.artifact_sha256)
    .where('index_sha256', '=', snapshot.index_sha256)
    .returning('id')
    .executeTakeFirst();
  if (updated === undefined) return false;
  await removeOldCopy(trx, run, rewrapSpec(run));
  return true;
}

/** Not told of the snapshot: as a run of it, it would count as its deletion. */
async function removeOldCopy(trx: Transaction<Database>, run: RunRow, spec: SpecOf<'maintenance'>): Promise<void> {
  const { snapshot } = spec.task;
  const removal = await createRun(trx, {
    tenantId: run.tenant_id,
    kind: 'retention',
    trigger: 'api',
    spec: { kind: 'retention', snapshot },
    destinationId: snapshot.destination_id,
    requiredWorkerId: ownerOf(snapshot.locator),
    pool: run.pool,
  });
  const reader = await trx
    .selectFrom('runs')
    .select('id')
    .where('tenant_id', '=', run.tenant_id)
    .where('snapshot_id', '=', snapshot.snapshot_id)
    .where('status', 'in', ['queued', 'dispatched', 'running'])
    .where('id', '<>', run.id)
    .limit(1)
    .executeTakeFirst();
  if (reader === undefined) return;
  await trx
    .updateTable('runs')
    .set({ not_before: dbNow(oldCopyKeptMs) })
    .where('id', '=', removal.id)
    .execute();
}

function keyOf(locator: Locator): string {
  switch (locator.storage_backend) {
    case 'local_fs':
      return locator.local_path;
    case 's3':
      return locator.object_key;
    case 'rclone':
      return locator.prefix;
  }
}

function rewrapSpec(run: RunRow): SpecOf<'maintenance'> {
  const spec = runSpec.parse(run.spec);
  if (spec.kind !== 'maintenance') throw new Error(`run ${run.id} is not a maintenance`);
  return spec;
}
