import { XVaultError } from '@xvault/shared/errors.ts';
import type { RestoreTarget, RestoreTargetInput } from '@xvault/shared/restore-targets.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { SourceConnection, SourceType } from '@xvault/shared/sources.ts';
import type { Transaction } from 'kysely';
import type { Database, TenantRow } from '../db/schema.ts';
import { toConnection } from '../sources/connection.ts';
import { isAllowedPath } from '../sources/local-path.ts';
import { findSource, findSourceShared } from '../sources/sources.repository.ts';

/** Kinds that files can be restored to. */
const fileTargets: ReadonlySet<SourceType> = new Set(['local', 'sftp', 'ssh', 'ftp', 's3']);

/** Kinds that rclone can bring a version of the sync engine to; what an OAuth connection grants is to read. */
const syncTargets: ReadonlySet<SourceType> = new Set([...fileTargets, 'webdav', 'smb']);

/** The kinds of snapshot that a database of either kind can be restored from. */
const databaseOrigins: Partial<Record<SourceType, readonly string[]>> = {
  mysql: ['mysql', 'wordpress'],
  postgres: ['postgres'],
};

interface Restored {
  readonly tenant: Pick<TenantRow, 'id' | 'local_paths'>;
  /** Of the snapshot. */
  readonly sourceId: string;
  readonly engine: SnapshotRef['engine'];
}

/**
 * The target as a run's spec carries it, the source that is written to frozen in. Throws PATH_NOT_ALLOWED for a place on a worker's
 * disk outside those that the operator gave the tenant, NOT_FOUND for another tenant's source, RESTORE_TARGET_UNSUPPORTED for a kind
 * that cannot take the snapshot.
 */
export async function freezeTarget(
  trx: Transaction<Database>,
  { tenant, sourceId, engine }: Restored,
  target: RestoreTargetInput,
): Promise<RestoreTarget> {
  switch (target.type) {
    case 'export':
      if (engine === 'sync' && target.format === 'encrypted') throw unsupported('a version has no artifact');
      return target;
    case 'directory':
      requireAllowed(tenant, target.path);
      return target;
    case 'source': {
      const { id, connection } = await findTarget(trx, tenant.id, target.source_id ?? sourceId);
      const kinds = engine === 'sync' ? syncTargets : fileTargets;
      if (!kinds.has(connection.type)) throw unsupported(`files to ${connection.type}`);
      if (connection.type === 'local') requireAllowed(tenant, target.path ?? connection.config.path);
      return { ...target, source_id: id, source: connection };
    }
    case 'database': {
      if (engine === 'sync') throw unsupported('a version to a database');
      const { id, connection } = await findTarget(trx, tenant.id, target.source_id ?? sourceId);
      const origin = await findSource(trx, tenant.id, sourceId);
      if (origin === undefined || databaseOrigins[connection.type]?.includes(origin.type) !== true) {
        throw unsupported(`a snapshot of ${origin?.type} to ${connection.type}`);
      }
      return { ...target, source_id: id, source: connection };
    }
  }
}

/** The server that a restore writes to, if any. */
export function targetConnection(target: RestoreTarget): SourceConnection | null {
  return 'source' in target ? target.source : null;
}

async function findTarget(trx: Transaction<Database>, tenantId: string, sourceId: string) {
  const source = await findSourceShared(trx, tenantId, sourceId);
  if (source === undefined) throw new XVaultError('NOT_FOUND', { detail: `source ${sourceId}` });
  return { id: source.id, connection: toConnection(source) };
}

function requireAllowed(tenant: Pick<TenantRow, 'local_paths'>, path: string): void {
  if (!isAllowedPath(tenant, path)) throw new XVaultError('PATH_NOT_ALLOWED');
}

function unsupported(detail: string): XVaultError {
  return new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail });
}
