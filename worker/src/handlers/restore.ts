import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { artifactOrigin } from '../engines/archive/restore.ts';
import { throttledReader } from '../engines/archive/throttled-sessions.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { openSnapshot } from './open-snapshot.ts';
import { statusReporter } from './progress-reporter.ts';
import { restoreToDatabase } from './restore-database.ts';
import { restoreToNewDirectory } from './restore-directory.ts';
import { exportEncrypted, exportFiles } from './restore-export.ts';
import { restoreToSource } from './restore-source.ts';
import { runThrottle } from './run-throttle.ts';

const progressEventMs = 2_000;

/** Brings all or chosen files of a snapshot back: to an export, a directory of this worker, a source or a database. */
export async function handleRestore(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
): Promise<ResultInput<'restore'>> {
  const onProgress = statusReporter(context, progressEventMs);
  const result = await restore(context, deps, onProgress);
  context.emit({
    type: 'summary',
    level: 'info',
    code: 'RESTORE_DONE',
    message_id: context.spec.dry_run ? 'restore_tried' : 'restore_done',
    params: { files: result.file_count, bytes: result.bytes },
  });
  return result;
}

type OnProgress = ReturnType<typeof statusReporter>;

async function restore(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
  onProgress: OnProgress,
): Promise<ResultInput<'restore'>> {
  const { target, snapshot } = context.spec;
  if (target.type === 'export' && target.format === 'encrypted') return exportEncrypted(context, deps, onProgress);
  const opened = await openSnapshot(context.start, snapshot, deps, context.signal);
  const { throttle, end } = runThrottle(context, null);
  const reader = throttledReader(opened, throttle);
  const origin = artifactOrigin(reader, context.spec.paths);
  try {
    switch (target.type) {
      case 'export':
        return await exportFiles(context, deps, { reader, onProgress });
      case 'directory':
        return await restoreToNewDirectory(context, deps, { origin, target, onProgress });
      case 'source':
        return await restoreToSource(context, deps, { origin, target, onProgress });
      case 'database':
        return await restoreToDatabase(context, deps, { reader, target, onProgress });
    }
  } finally {
    end();
    await reader.close();
  }
}
