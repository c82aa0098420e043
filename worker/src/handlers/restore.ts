import { XVaultError } from '@xvault/shared/errors.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import type { ArtifactReader } from '../artifact/artifact-reader.ts';
import type { ExportFormat } from '../engines/archive/export.ts';
import { exportSnapshot, restoreToDirectory } from '../engines/archive/restore.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { openSnapshot } from './open-snapshot.ts';
import { statusReporter } from './progress-reporter.ts';

const progressEventMs = 2_000;

/** Brings all or chosen files of a snapshot back, to an export or a directory of this worker. */
export async function handleRestore(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
): Promise<ResultInput<'restore'>> {
  const reader = await openSnapshot(context.start, context.spec.snapshot, deps);
  try {
    const result = await restore(context, deps, reader);
    context.emit({
      type: 'summary',
      level: 'info',
      code: 'RESTORE_DONE',
      message_id: 'restore_done',
      params: { files: result.file_count, bytes: result.bytes },
    });
    return result;
  } finally {
    await reader.close();
  }
}

async function restore(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
  reader: ArtifactReader,
): Promise<ResultInput<'restore'>> {
  const { spec, start, signal } = context;
  const common = { reader, paths: spec.paths, signal, onProgress: statusReporter(context, progressEventMs) };
  switch (spec.target.type) {
    case 'directory': {
      const restored = await restoreToDirectory({
        ...common,
        targetPath: spec.target.path,
        allowedRoots: deps.config.XVAULT_RESTORE_ROOTS,
        allowSetuid: spec.target.allow_setuid,
        runId: start.run_id,
        epoch: start.epoch,
        journal: deps.journal,
      });
      return { kind: 'restore', file_count: restored.fileCount, bytes: restored.bytes, export: null };
    }
    case 'export': {
      if (spec.export_id === null || spec.export_expires_at === null) throw new Error('the Hub gave no export id');
      await deps.shelf.prepare(spec.export_id, spec.export_expires_at);
      const made = await exportSnapshot({
        ...common,
        format: supportedFormat(spec.target.format),
        exportsDir: deps.shelf.root,
        exportId: spec.export_id,
        snapshotId: spec.snapshot.snapshot_id,
        epoch: start.epoch,
      });
      const file = { size_bytes: made.sizeBytes, sha256: made.sha256, file_name: made.fileName };
      return { kind: 'restore', file_count: made.fileCount, bytes: made.bytes, export: file };
    }
    default:
      throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: `target ${spec.target.type}` });
  }
}

function supportedFormat(format: string): ExportFormat {
  if (format === 'tar.zst' || format === 'zip') return format;
  throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: `format ${format}` });
}
