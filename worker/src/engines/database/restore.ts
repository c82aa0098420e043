import { asXVaultError, XVaultError } from '@xvault/shared/errors.ts';
import type { RestoreChange } from '@xvault/shared/restore-targets.ts';
import { type PlannedDatabase, planRestore } from './restore-plan.ts';
import { type DatabaseReader, dumpContent, storedDatabases } from './stored-databases.ts';
import type { DatabaseTarget } from './target.ts';

export interface RestoreDatabasesOptions {
  readonly reader: DatabaseReader;
  /** Snapshot paths (`databases/…`); null for all. */
  readonly paths: readonly string[] | null;
  /** Name in the snapshot → name at the target; null for all under their own. */
  readonly databases: Readonly<Record<string, string>> | null;
  readonly overwrite: boolean;
  /** Plan, and write nothing. */
  readonly dryRun: boolean;
  readonly target: DatabaseTarget;
  /** Waits until so many bytes may go on. */
  readonly throttle?: (bytes: number, signal: AbortSignal) => Promise<void> | undefined;
  readonly signal: AbortSignal;
  /** Called often; the caller throttles. */
  readonly onProgress: (status: DatabaseRestoreStatus) => void;
  readonly onRestored: (name: string, note: string | null) => void;
}

export interface DatabaseRestoreStatus {
  readonly filesDone: number;
  readonly filesTotal: number;
  readonly bytesDone: number;
  readonly bytesTotal: number;
  readonly currentItem: string | null;
}

export interface RestoredDatabases {
  /** Databases. */
  readonly fileCount: number;
  /** Of dumps. */
  readonly bytes: number;
  /** What was done, or would be. */
  readonly changes: readonly RestoreChange[];
}

/**
 * Restores databases of a snapshot to a server, one after another. Everything that can be refused is refused before the first
 * one is begun. Throws RESTORE_…, DATABASE_EXISTS, DATABASE_RESTORE_FAILED (with how many were done), ARTIFACT_…, SOURCE_….
 */
export async function restoreDatabases(options: RestoreDatabasesOptions): Promise<RestoredDatabases> {
  const { reader, signal } = options;
  const plan = await planRestore({ ...options, stored: await storedDatabases(reader, signal) });
  const bytesTotal = plan.reduce((sum, { stored }) => sum + stored.sizeBytes, 0);
  const changes = plan.map(changeOf);
  if (options.dryRun) return { fileCount: plan.length, bytes: bytesTotal, changes };
  let bytesDone = 0;
  for (const [filesDone, planned] of plan.entries()) {
    const report = () => {
      const currentItem = planned.name;
      options.onProgress({ filesDone, filesTotal: plan.length, bytesDone, bytesTotal, currentItem });
    };
    const before = bytesDone;
    async function* content(): AsyncGenerator<Buffer> {
      bytesDone = before;
      for await (const part of dumpContent(reader, planned.stored, signal)) {
        report();
        await options.throttle?.(part.length, signal);
        yield part;
        bytesDone += part.length;
      }
    }
    report();
    const note = await restoreOne(options, planned, content, { filesDone, filesTotal: plan.length });
    bytesDone = before + planned.stored.sizeBytes;
    options.onRestored(planned.name, note);
  }
  return { fileCount: plan.length, bytes: bytesDone, changes };
}

async function restoreOne(
  { target, signal }: RestoreDatabasesOptions,
  { stored, name, state }: PlannedDatabase,
  content: () => AsyncIterable<Buffer>,
  counts: { filesDone: number; filesTotal: number },
): Promise<string | null> {
  try {
    return (await target.restore({ description: stored.description, name, state, content, signal })).note;
  } catch (error) {
    signal.throwIfAborted();
    const known = asXVaultError(error);
    if (known.code !== 'DATABASE_RESTORE_FAILED') throw known;
    const params = { database: name, restored: counts.filesDone, total: counts.filesTotal };
    throw new XVaultError(known.code, {
      params: { ...known.params, ...params },
      ...(known.detail === undefined ? {} : { detail: known.detail }),
      cause: error,
    });
  }
}

function changeOf({ stored, name, state }: PlannedDatabase): RestoreChange {
  return {
    path: name,
    action: state === 'full' ? 'overwrite' : 'create',
    type: 'database',
    size_bytes: stored.sizeBytes,
  };
}
