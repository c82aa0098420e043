import { XVaultError } from '@xvault/shared/errors.ts';
import type { EventDraft } from '@xvault/shared/events.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import type { SourceType } from '@xvault/shared/sources.ts';
import { formatVersion } from '../engines/sync/layout.ts';
import { requireApart } from '../engines/sync/overlap.ts';
import { atEnd, toProgress } from '../engines/sync/progress.ts';
import { eventCodeOf } from '../engines/sync/rclone/classify.ts';
import { syncPrefix } from '../engines/sync/sides/open-destination.ts';
import { runSync, type SyncOutcome } from '../engines/sync/sync.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { progressReporter } from './progress-reporter.ts';
import { abortLeftovers } from './sync-leftovers.ts';
import { withSync } from './sync-run.ts';
import { openCryptSecret } from './sync-secrets.ts';

const progressEventMs = 2_000;
/** More than that are counted, not named. */
const namedItems = 1000;

/** Brings a destination to the state of a source by rclone, and keeps what it replaces. */
export function handleSyncBackup(
  context: RunContext<'backup'>,
  deps: HandlerDeps,
  settings: SyncSettings = {},
): Promise<ResultInput<'backup'>> {
  return tellingErrors(context, () => backUp(context, deps, settings));
}

export interface SyncSettings {
  /** Ends a transfer in which nothing has moved for so long. */
  readonly stallMs?: number;
}

async function backUp(
  context: RunContext<'backup'>,
  deps: HandlerDeps,
  settings: SyncSettings,
): Promise<ResultInput<'backup'>> {
  const { start, spec, signal } = context;
  const { snapshot_id: snapshotId } = start;
  if (snapshotId === null || spec.sync === null)
    throw new Error('the Hub gave no snapshot id or no options for a sync');
  const options = spec.sync;
  const prefix = syncPrefix({ tenantId: start.tenant_id, sourceId: spec.source_id, jobId: spec.job_id });
  requireApart(spec.source, spec.destination, prefix, deps.config.XVAULT_STORAGE_DIR);
  const crypt = await openCryptSecret(options.encryption, start, deps.config);
  const request = {
    source: { connection: spec.source, sealed: start.source_secret_sealed },
    destination: { connection: spec.destination, sealed: start.destination_secret_sealed, prefix },
    crypt,
    limitBps: options.bandwidth_limit_bps,
    flags: [`--transfers=${options.transfers}`, `--checkers=${options.checkers}`, ...retryFlags(spec.source.type)],
  };
  return withSync(context, deps, request, async ({ run, log, directory, source, destination }) => {
    const report = progressReporter(context, progressEventMs);
    let speed = 0;
    try {
      const outcome = await runSync({
        rclone: run.rclone,
        directory,
        srcFs: run.srcFs,
        rawFs: run.rawFs,
        dstFs: run.dstFs,
        sourceMtimes: source?.listsMtimes ?? false,
        sourceIsBucket: spec.source.type === 's3',
        movesByDeleting: destination?.remote.options.type === 's3' && options.mode === 'sync',
        tellsRoom: destination?.remote.options.type !== 's3',
        // Each block of crypt proves itself; elsewhere a hash must be known to see a change of the stored bytes.
        hashes: crypt !== null ? 'none' : destination?.remote.hashes === 'listed' ? 'listed' : 'read',
        jobId: spec.job_id,
        runId: start.run_id,
        epoch: start.epoch,
        options,
        ...settings,
        signal,
        onStats: (stats) => {
          const progress = toProgress(stats);
          speed = progress.speed_bytes_per_sec;
          report(progress);
        },
        takeItemErrors: () => log.takeItemErrors(),
        wasCopied: (path) => log.wasCopied(path),
        brought: () => log.brought(),
      });
      context.progress(atEnd(outcome, speed));
      if (outcome.damaged !== null) {
        const version = formatVersion(outcome.damaged);
        context.note(`the manifest of version ${version} is damaged: all was compared with what is there`);
      }
      // An attempt before this one may have ended in the middle of an upload.
      if (outcome.hadUnfinished || start.epoch > 1) await abortLeftovers(context, deps, spec.destination, destination);
      tell(context, outcome);
      return resultOf(context, deps, snapshotId, prefix, outcome);
    } catch (error) {
      if (log.lastError !== null) context.note(`rclone: ${log.lastError}`);
      throw error;
    }
  });
}

/** Tells the customer what ended the transfer; how the run as a whole goes on from there is the Hub's to say. */
async function tellingErrors<T>({ signal, emit }: RunContext<'backup'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof XVaultError && !signal.aborted) {
      const params = { ...error.params, code: error.code, reason: error.message };
      emit({ type: 'error', level: 'error', code: eventCodeOf(error.code), message_id: 'sync_error', params });
    }
    throw error;
  }
}

/** Providers ask to slow down for long; what a server of one's own refuses so often, it refuses. The whole is tried again anyway. */
function retryFlags(type: SourceType): string[] {
  return type === 'google_drive' || type === 'dropbox' ? [] : ['--low-level-retries=4'];
}

function tell(context: RunContext<'backup'>, outcome: SyncOutcome): void {
  warnOf(context, outcome.failed, { code: 'ITEM_UNREADABLE', message_id: 'sync_item_failed' });
  warnOf(context, outcome.unsupported, { code: 'ITEM_NAME_UNSUPPORTED', message_id: 'item_name_unsupported' });
  const isWhole = outcome.failed.length + outcome.unsupported.length === 0;
  if (!outcome.hasChanged && isWhole) {
    context.emit({ type: 'summary', level: 'info', code: 'NO_CHANGES', message_id: 'sync_no_changes', params: {} });
    return;
  }
  context.emit({
    type: 'summary',
    level: 'info',
    code: isWhole ? 'COMPLETED_SUCCESS' : 'COMPLETED_WARNING',
    message_id: 'sync_done',
    params: {
      transfers: outcome.transfers,
      bytes: outcome.bytes,
      deletes: outcome.deletes,
      objects: outcome.objectCount,
    },
  });
}

function warnOf(
  context: RunContext<'backup'>,
  items: readonly string[],
  what: Pick<EventDraft, 'code' | 'message_id'>,
): void {
  for (const path of items.slice(0, namedItems)) {
    context.emit({ type: 'warning', level: 'warn', ...what, params: { item: path.slice(0, 1024).toWellFormed() } });
  }
  for (const _ of items) context.countWarning();
}

function resultOf(
  { spec }: RunContext<'backup'>,
  { workerId }: HandlerDeps,
  snapshotId: string,
  prefix: string,
  outcome: SyncOutcome,
): ResultInput<'backup'> {
  const { manifest } = outcome;
  if (spec.sync === null) throw new XVaultError('INTERNAL', { detail: 'a sync without options' });
  return {
    kind: 'backup',
    snapshot: {
      snapshot_id: snapshotId,
      locator: {
        storage_backend: 'rclone',
        worker_id: spec.destination.type === 'local_fs' ? workerId : null,
        prefix,
        version: formatVersion(outcome.version),
      },
      entry_count: outcome.objectCount,
      file_count: outcome.objectCount,
      source_bytes: outcome.totalBytes,
      tar_bytes: 0,
      stored_bytes: outcome.bytes,
      // A version's one file of its own is its manifest.
      artifact_bytes: manifest.sizeBytes,
      artifact_sha256: manifest.sha256,
      index_bytes: manifest.sizeBytes,
      index_sha256: manifest.sha256,
      manifest_bytes: manifest.sizeBytes,
      manifest_sha256: manifest.sha256,
      encryption: { algorithm: spec.sync.encryption ? 'rclone-crypt' : 'none', recipients: [] },
    },
  };
}
