import type { MessageId } from '@xvault/shared/events.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { pathToText } from '../artifact/path-text.ts';
import type { ItemCode, SkippedItem } from '../connectors/connector.ts';
import { backupToSnapshot } from '../engines/archive/backup.ts';
import { filteredSession, type LeftOut } from '../engines/archive/filter.ts';
import { withReadConcurrency } from '../engines/archive/read-concurrency.ts';
import { throttledSession } from '../engines/archive/throttled-sessions.ts';
import { openStorage } from '../storage/open-storage.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { withHooks } from './hooked.ts';
import { progressReporter } from './progress-reporter.ts';
import { runThrottle } from './run-throttle.ts';
import { sweepBucket } from './sweep-bucket.ts';

/** Progress events of a run are at least this far apart. */
const progressEventMs = 2_000;

const itemMessages: Record<ItemCode, MessageId> = {
  ITEM_VANISHED: 'item_vanished',
  ITEM_UNREADABLE: 'item_unreadable',
  ITEM_CHANGED: 'item_changed',
  ITEM_UNSUPPORTED: 'item_unsupported',
  ITEM_NAME_UNSUPPORTED: 'item_name_unsupported',
  ITEM_ATTRIBUTES_LEFT_OUT: 'item_attributes_left_out',
  ITEM_LINK_NOT_FOLLOWED: 'item_link_not_followed',
};

/** Pulls a source into a new snapshot. */
export async function handleBackup(context: RunContext<'backup'>, deps: HandlerDeps): Promise<ResultInput<'backup'>> {
  const { start, spec, signal } = context;
  if (start.snapshot_id === null) throw new Error('the Hub gave no snapshot id for a backup');
  const place = { tenantId: start.tenant_id, sourceId: spec.source_id, snapshotId: start.snapshot_id };
  const { options } = spec;
  const opened = await openStorage(
    { destination: spec.destination, sealed: start.destination_secret_sealed, signal, listOnly: place },
    deps,
  );
  if (opened.objects !== null) await sweepBucket(context, deps, opened.storage);
  const { throttle, end } = runThrottle(context, options.bandwidth_limit_bps);
  try {
    const snapshot = await withHooks(context, deps, async (connected) => {
      const { session, leftOut } = filteredSession(connected, {
        include: options.include,
        exclude: options.exclude,
        maxFileBytes: options.max_file_bytes,
        followSymlinks: options.follow_symlinks,
        followRoots: start.follow_roots ?? [],
      });
      const stored = await backupToSnapshot({
        session: withReadConcurrency(throttledSession(session, throttle), options.read_concurrency),
        storage: opened.storage,
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
        options,
        pool: deps.pool,
        signal,
        onProgress: progressReporter(context, progressEventMs),
        onWarning: (item) => warn(context, item),
      });
      tellLeftOut(context, leftOut);
      return stored.snapshot;
    });
    context.emit({
      type: 'summary',
      level: 'info',
      code: 'BACKUP_PUBLISHED',
      message_id: 'backup_published',
      params: { files: snapshot.file_count, bytes: snapshot.source_bytes, stored_bytes: snapshot.stored_bytes },
    });
    const locator = await opened.locatorOf(place);
    return { kind: 'backup', snapshot: { ...snapshot, locator } };
  } finally {
    end();
  }
}

/** Left out as the customer asked: said once, and no warning. */
function tellLeftOut(context: RunContext<'backup'>, { files, bytes }: Readonly<LeftOut>): void {
  if (files === 0) return;
  context.emit({
    type: 'summary',
    level: 'info',
    code: 'FILES_LEFT_OUT',
    message_id: 'files_left_out',
    params: { files, bytes },
  });
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
