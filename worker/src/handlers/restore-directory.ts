import type { RestoreTarget } from '@xvault/shared/restore-targets.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { type OnRestoreProgress, type RestoreOrigin, restoreToDirectory } from '../engines/archive/restore.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';

interface DirectoryRestore {
  readonly origin: RestoreOrigin;
  readonly target: Extract<RestoreTarget, { type: 'directory' }>;
  readonly onProgress: OnRestoreProgress;
}

/** Puts files of a snapshot into a new directory of this worker. */
export async function restoreToNewDirectory(
  { start, signal }: RunContext<'restore'>,
  { config, journal }: HandlerDeps,
  { origin, target, onProgress }: DirectoryRestore,
): Promise<ResultInput<'restore'>> {
  const { fileCount, bytes, entryCount } = await restoreToDirectory({
    origin,
    targetPath: target.path,
    allowedRoots: config.XVAULT_RESTORE_ROOTS,
    allowSetuid: target.allow_setuid,
    runId: start.run_id,
    epoch: start.epoch,
    journal,
    signal,
    onProgress,
  });
  return { kind: 'restore', file_count: fileCount, bytes, export: null, actions: { create: entryCount } };
}
