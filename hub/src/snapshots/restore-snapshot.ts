import { newId } from '@xvault/shared/ids.ts';
import { seal } from '@xvault/shared/sealing.ts';
import { ownerOf } from '@xvault/shared/snapshots.ts';
import { sourceHost } from '@xvault/shared/sources.ts';
import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { HubConfig } from '../config.ts';
import type { Database, RunRow } from '../db/schema.ts';
import { insertExport } from '../exports/exports.repository.ts';
import { invalidField } from '../http/problem.ts';
import { once } from '../idempotency/idempotency.ts';
import { createRun } from '../lifecycle/create-run.ts';
import { insertRunSecret } from '../lifecycle/run-secrets.ts';
import { freezeTarget, targetConnection } from './freeze-target.ts';
import type { RestoreBody } from './snapshots.schema.ts';
import { lockReadable, ofSnapshot, type SnapshotRequest } from './snapshots.service.ts';

/**
 * Queues a restore. What the customer gave for it alone is sealed before anything else. Throws NOT_FOUND, SNAPSHOT_UNAVAILABLE,
 * TENANT_KEY_UNAVAILABLE, and what {@link freezeTarget} throws.
 */
export async function restoreSnapshot(
  db: Kysely<Database>,
  actor: Actor,
  { tenantId, snapshotId, idempotencyKey: key }: SnapshotRequest,
  { identity, ...body }: RestoreBody,
  config: Pick<HubConfig, 'exportTtlHours' | 'vaultRecipient'>,
): Promise<RunRow> {
  requireSensible(body);
  const identitySealed = identity === null ? null : await seal(identity, config.vaultRecipient);
  const isEncrypted = body.target.type === 'export' && body.target.format === 'encrypted';
  return db.transaction().execute((trx) =>
    once(trx, { tenantId, scope: `restore:${snapshotId}`, key }, async () => {
      const needsKey = !isEncrypted && identitySealed === null;
      const { snapshot, tenant, ref } = await lockReadable(trx, tenantId, snapshotId, { needsKey });
      const target = await freezeTarget(trx, { tenant, sourceId: snapshot.source_id, engine: ref.engine }, body.target);
      const exportId = target.type === 'export' ? newId() : null;
      const expiresAt = new Date(Date.now() + config.exportTtlHours * 3_600_000);
      const connection = targetConnection(target);
      const run = await createRun(trx, {
        tenantId,
        kind: 'restore',
        trigger: 'manual',
        spec: {
          kind: 'restore',
          snapshot: ref,
          paths: body.paths,
          target,
          dry_run: body.dry_run,
          export_id: exportId,
          export_expires_at: exportId === null ? null : expiresAt.toISOString(),
        },
        ...ofSnapshot(snapshot),
        // A restore is work for the server that it writes to.
        sourceHost: connection === null ? null : sourceHost(connection),
        exportId,
      });
      if (identitySealed !== null) await insertRunSecret(trx, run.id, identitySealed);
      if (target.type === 'export' && exportId !== null) {
        const file = { id: exportId, runId: run.id, workerId: ownerOf(snapshot.locator), format: target.format };
        await insertExport(trx, tenantId, snapshotId, { ...file, expiresAt });
      }
      const asked = { target: body.target, path_count: body.paths?.length ?? null, dry_run: body.dry_run };
      const details = { run_id: run.id, ...asked, with_identity: identitySealed !== null };
      const object = { objectType: 'snapshot', objectId: snapshotId };
      await writeAudit(trx, actor, { tenantId, action: 'snapshot.restore', ...object, details });
      return run;
    }),
  );
}

/** Throws BAD_REQUEST for what contradicts itself. */
function requireSensible({ target, paths, dry_run }: Omit<RestoreBody, 'identity'>): void {
  if (target.type === 'export' && target.format === 'encrypted' && paths !== null) {
    throw invalidField('paths', 'an encrypted export is always of the whole snapshot');
  }
  if (dry_run && (target.type === 'export' || target.type === 'directory')) {
    throw invalidField('dry_run', 'only a restore to a source or a database can change what is there');
  }
}
