import { XVaultError } from '@xvault/shared/errors.ts';
import type { DatabaseSecret, SourceConnection } from '@xvault/shared/sources.ts';
import { openMysqlTarget } from '../../connectors/mysql/restore.ts';
import { openPostgresTarget } from '../../connectors/postgres/restore.ts';
import type { AddressGuard } from '../../net/guard.ts';
import type { DatabaseTarget } from './target.ts';

/** Connects to a server that databases are restored to. Throws RESTORE_TARGET_UNSUPPORTED where the source is none. */
export function openDatabaseTarget(
  guard: AddressGuard,
  source: SourceConnection,
  secret: DatabaseSecret,
  runId: string,
  signal: AbortSignal,
): Promise<DatabaseTarget> {
  switch (source.type) {
    case 'mysql':
      return openMysqlTarget(guard, { ...source.config, host_key: source.host_key }, secret, runId, signal);
    case 'postgres':
      return openPostgresTarget(guard, { ...source.config, host_key: source.host_key }, secret, runId, signal);
    default:
      throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: `${source.type} is no database server` });
  }
}
