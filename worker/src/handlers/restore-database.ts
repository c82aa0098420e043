import type { RestoreTarget } from '@xvault/shared/restore-targets.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { ArtifactReader } from '../artifact/artifact-reader.ts';
import { Throttle } from '../engines/archive/bandwidth.ts';
import { openDatabaseTarget } from '../engines/database/open-target.ts';
import { type DatabaseRestoreStatus, restoreDatabases } from '../engines/database/restore.ts';
import { createAddressGuard } from '../net/guard.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { openSourceSecret } from './source-connector.ts';

interface DatabaseRestoreRequest {
  readonly reader: ArtifactReader;
  readonly target: Extract<RestoreTarget, { type: 'database' }>;
  readonly onProgress: (status: DatabaseRestoreStatus) => void;
}

const toldChanges = 1000;

/** Loads databases of a snapshot into a server. */
export async function restoreToDatabase(
  context: RunContext<'restore'>,
  { config }: HandlerDeps,
  { reader, target, onProgress }: DatabaseRestoreRequest,
): Promise<ResultInput<'restore'>> {
  const { spec, start, signal, bandwidth } = context;
  const identities = [config.XVAULT_CREDENTIALS_IDENTITY];
  const secret = await openSourceSecret(target.source.type, start.target_secret_sealed, identities);
  const guard = createAddressGuard({ allow: config.XVAULT_ALLOW_NETWORKS });
  const throttle = new Throttle(() => bandwidth.limitBps);
  const ignoreLimit = bandwidth.onChange(() => throttle.changed());
  const server = await openDatabaseTarget(guard, target.source, secret as DatabaseSecret, start.run_id, signal);
  try {
    const { fileCount, bytes, changes } = await restoreDatabases({
      reader,
      paths: spec.paths,
      databases: target.databases,
      overwrite: target.overwrite_databases,
      dryRun: spec.dry_run,
      target: server,
      throttle: (count, stop) => throttle.take(count, stop),
      signal,
      onProgress,
      onRestored: (name, note) => told(context, name, note),
    });
    const actions: Record<string, number> = {};
    for (const { action } of changes) actions[action] = (actions[action] ?? 0) + 1;
    const shown = spec.dry_run ? changes.slice(0, toldChanges) : [];
    return { kind: 'restore', file_count: fileCount, bytes, export: null, actions, changes: shown };
  } finally {
    ignoreLimit();
    await server.close();
  }
}

function told(context: RunContext<'restore'>, database: string, note: string | null): void {
  const params = { database };
  context.emit({ type: 'summary', level: 'info', code: 'DATABASE_RESTORED', message_id: 'database_restored', params });
  if (note === null) return;
  context.countWarning();
  context.logger.warn({ note }, 'database restored in part');
  const item = `${database} (privileges of roles that the server does not have)`;
  const event = { type: 'warning', level: 'warn', code: 'ITEM_NOT_RESTORED' } as const;
  context.emit({ ...event, message_id: 'item_not_restored', params: { item } });
}
