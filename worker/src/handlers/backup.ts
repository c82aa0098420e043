import type { MessageId } from '@xvault/shared/events.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { pathToText } from '../artifact/path-text.ts';
import type { ItemCode, SkippedItem } from '../connectors/connector.ts';
import { backupToSnapshot } from '../engines/archive/backup.ts';
import { localPathOf } from '../storage/local-fs.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { progressReporter } from './progress-reporter.ts';

/** Progress events of a run are at least this far apart. */
const progressEventMs = 2_000;

const itemMessages: Record<ItemCode, MessageId> = {
  ITEM_VANISHED: 'item_vanished',
  ITEM_UNREADABLE: 'item_unreadable',
  ITEM_CHANGED: 'item_changed',
  ITEM_UNSUPPORTED: 'item_unsupported',
  ITEM_NAME_UNSUPPORTED: 'item_name_unsupported',
};

/** Pulls a source into a new snapshot. */
export async function handleBackup(context: RunContext<'backup'>, deps: HandlerDeps): Promise<ResultInput<'backup'>> {
  const { start, spec, signal } = context;
  if (start.snapshot_id === null) throw new Error('the Hub gave no snapshot id for a backup');
  const place = { tenantId: start.tenant_id, sourceId: spec.source_id, snapshotId: start.snapshot_id };
  const session = await deps.sources.connect(spec.source, start.source_secret_sealed, signal);
  try {
    const { snapshot } = await backupToSnapshot({
      session,
      storage: deps.storage,
      place,
      epoch: start.epoch,
      provenance: {
        jobId: spec.job_id,
        runId: start.run_id,
        attempt: start.attempt,
        workerId: deps.workerId,
        destinationId: spec.destination_id,
      },
      recipients: spec.recipients,
      options: spec.options,
      pool: deps.pool,
      signal,
      onProgress: progressReporter(context, progressEventMs),
      onWarning: (item) => warn(context, item),
    });
    context.emit({
      type: 'summary',
      level: 'info',
      code: 'BACKUP_PUBLISHED',
      message_id: 'backup_published',
      params: { files: snapshot.file_count, bytes: snapshot.source_bytes, stored_bytes: snapshot.stored_bytes },
    });
    const locator = { storage_backend: 'local_fs', worker_id: deps.workerId, local_path: localPathOf(place) } as const;
    return { kind: 'backup', snapshot: { ...snapshot, locator } };
  } finally {
    await session.close();
  }
}

function warn(context: RunContext<'backup'>, item: SkippedItem): void {
  context.countWarning();
  context.logger.debug({ code: item.skipped, detail: item.detail }, 'item');
  context.emit({
    type: 'warning',
    level: 'warn',
    code: item.skipped,
    message_id: itemMessages[item.skipped],
    params: { item: pathToText(item.path).slice(0, 1024).toWellFormed() },
  });
}
