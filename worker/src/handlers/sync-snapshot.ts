import { XVaultError } from '@xvault/shared/errors.ts';
import type { ExportFormat, RestoreTarget } from '@xvault/shared/restore-targets.ts';
import type { ResultInput, RunKind, ValidationLevel } from '@xvault/shared/run-kinds.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { openRcloneTarget } from '../connectors/rclone/target.ts';
import type { TargetOptions } from '../connectors/target.ts';
import { writeExportFile } from '../engines/archive/restore.ts';
import { exportVersion } from '../engines/sync/export.ts';
import { atDestination } from '../engines/sync/faults.ts';
import { parseVersion, type Version } from '../engines/sync/layout.ts';
import type { VersionStore } from '../engines/sync/resolve.ts';
import { retainVersions } from '../engines/sync/retain.ts';
import { requireSentinel } from '../engines/sync/sentinel.ts';
import { type SyncValidation, validateVersion } from '../engines/sync/validate.ts';
import { VersionOrigin } from '../engines/sync/version-origin.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { statusReporter } from './progress-reporter.ts';
import { restoreToNewDirectory } from './restore-directory.ts';
import { restoreToSource } from './restore-source.ts';
import { abortLeftovers } from './sync-leftovers.ts';
import { type OpenedSync, type SyncRequest, type SyncTarget, withSync } from './sync-run.ts';
import { openCryptSecret } from './sync-secrets.ts';
import { tellValidation } from './tell-validation.ts';

const progressEventMs = 2_000;
const namedItems = 1000;
/** What a run that goes on beside this one has begun to upload is younger. */
const leftoverAgeMs = 24 * 3600_000;

/** Brings a version of the sync engine, or some of it, to a source, a directory or an export. */
export async function handleSyncRestore(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
): Promise<ResultInput<'restore'>> {
  const { target } = context.spec;
  switch (target.type) {
    case 'export':
      return exportToShelf(context, deps, target.format);
    case 'directory':
    case 'source':
      return restoreFiles(context, deps, target);
    case 'database':
      throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: 'the sync engine has no databases' });
  }
}

/** By the same way as what the archive engine restores; through rclone only to what it alone reaches. */
function restoreFiles(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
  target: Extract<RestoreTarget, { type: 'directory' | 'source' }>,
): Promise<ResultInput<'restore'>> {
  const { spec, start, signal } = context;
  const reached = target.type === 'source' ? reachedByRclone(target.source) : null;
  const at = target.type === 'source' ? target.path : null;
  const opening = reached && { target: { connection: reached, sealed: start.target_secret_sealed, path: at } };
  return withVersion(context, deps, spec.snapshot, opening ?? {}, async ({ run, version, store }) => {
    const onProgress = statusReporter(context, progressEventMs);
    const origin = new VersionOrigin(store, version, spec.paths);
    const asked = { origin, onProgress };
    const connect = ({ tag }: TargetOptions) => openRcloneTarget({ rc: run.rclone.rc, fs: run.tgtFs, tag, signal });
    const result =
      target.type === 'directory'
        ? await restoreToNewDirectory(context, deps, { ...asked, target })
        : await restoreToSource(context, deps, { ...asked, target, ...(reached && { connect }) });
    tellUnfit(context, origin.unfit);
    tellRestored(context, { files: result.file_count, bytes: result.bytes });
    return result;
  });
}

function reachedByRclone(source: SourceConnection): SyncTarget | null {
  return source.type === 'webdav' || source.type === 'smb' ? source : null;
}

/** Puts objects of a version into one file to download, on this worker's shelf. */
function exportToShelf(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
  format: ExportFormat,
): Promise<ResultInput<'restore'>> {
  const { spec, start, signal } = context;
  const { export_id: exportId, export_expires_at: expiresAt, snapshot } = spec;
  if (format === 'encrypted') throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: 'there is no artifact' });
  if (exportId === null || expiresAt === null) throw new Error('the Hub gave no export id');
  return withVersion(context, deps, snapshot, {}, async ({ version, store }) => {
    const { stream, fileName, fileCount, bytes, unfit } = await exportVersion({
      store,
      version,
      paths: spec.paths,
      format,
      snapshotId: snapshot.snapshot_id,
      onProgress: statusReporter(context, progressEventMs),
    });
    await deps.shelf.prepare(exportId, expiresAt);
    const options = { exportsDir: deps.shelf.root, exportId, fileName, epoch: start.epoch, signal };
    const { sizeBytes, sha256 } = await writeExportFile(stream, options);
    tellUnfit(context, unfit);
    tellRestored(context, { files: fileCount, bytes });
    const file = { size_bytes: sizeBytes, sha256, file_name: fileName };
    return { kind: 'restore', file_count: fileCount, bytes, export: file };
  });
}

/** Keys that cannot be paths are left out. */
function tellUnfit(context: RunContext<'restore'>, keys: readonly string[]): void {
  for (const [index, key] of keys.entries()) {
    context.countWarning();
    if (index >= namedItems) continue;
    const params = { item: key.slice(0, 1024).toWellFormed() };
    const event = { type: 'warning', level: 'warn', code: 'ITEM_NOT_RESTORED' } as const;
    context.emit({ ...event, message_id: 'item_not_restored', params });
  }
}

function tellRestored({ emit, spec }: RunContext<'restore'>, params: { files: number; bytes: number }): void {
  const message_id = spec.dry_run ? 'restore_tried' : 'restore_done';
  emit({ type: 'summary', level: 'info', code: 'RESTORE_DONE', message_id, params });
}

/** Reads a version back. */
export async function handleSyncValidation(
  context: RunContext<'validation'>,
  deps: HandlerDeps,
): Promise<ResultInput<'validation'>> {
  const passed = context.spec.level === 'quick' ? 'validation_passed_listed' : 'validation_passed';
  return tellValidation(context, await judge(context, deps), passed);
}

async function judge(context: RunContext<'validation'>, deps: HandlerDeps): Promise<ResultInput<'validation'>> {
  const { snapshot, level } = context.spec;
  return withVersion(context, deps, snapshot, {}, async ({ version, store }) => {
    const report = statusReporter(context, progressEventMs);
    try {
      const found = await validateVersion(store, version, level, ({ objects, bytes }) => {
        report({ filesDone: objects, filesTotal: null, bytesDone: bytes, bytesTotal: null, currentItem: null });
      });
      const isGood = found.differing.length === 0;
      return {
        kind: 'validation',
        verdict: isGood ? 'success' : 'failed',
        files_checked: found.objectsChecked,
        bytes_checked: found.bytesChecked,
        differing: [...found.differing],
        error_code: isGood ? null : 'ARTIFACT_CORRUPT',
        excerpt: excerptOf(level, found),
      };
    } catch (error) {
      if (!(error instanceof XVaultError) || error.code !== 'SYNC_VERSION_BROKEN') throw error;
      context.note(error.detail ?? error.code);
      const nothing = { files_checked: 0, bytes_checked: 0, differing: [] };
      return { kind: 'validation', verdict: 'failed', ...nothing, error_code: error.code };
    }
  });
}

/** Kept with the snapshot, so without names of objects. */
function excerptOf(level: ValidationLevel, { objectsChecked, bytesChecked, differing }: SyncValidation): string {
  const extent = `${objectsChecked} objects, ${bytesChecked} bytes`;
  return `${level}: ${extent} compared, ${differing.length === 0 ? 'all match' : `${differing.length} differ`}`;
}

/** Forgets a version and removes what no other one needs. */
export async function handleSyncRetention(
  context: RunContext<'retention'>,
  deps: HandlerDeps,
): Promise<ResultInput<'retention'>> {
  const { snapshot, keep_versions } = context.spec;
  return withVersion(context, deps, snapshot, {}, async ({ store, version, destination }) => {
    const keep = keep_versions.map(requireVersion);
    await abortLeftovers(context, deps, snapshot.destination, destination, leftoverAgeMs);
    const removed = await retainVersions(store, version, keep, snapshot.manifest_sha256);
    context.note(`removed ${removed.removedVersions} versions and ${removed.removedObjects} objects`);
    return { kind: 'retention' };
  });
}

interface OpenedVersion extends OpenedSync {
  readonly version: Version;
  readonly store: VersionStore;
}

/** Opens the place of a version and makes sure that it is the job's and that its key fits. */
export async function withVersion<T, K extends RunKind>(
  context: RunContext<K>,
  deps: HandlerDeps,
  snapshot: SnapshotRef,
  more: Pick<SyncRequest, 'target'>,
  work: (opened: OpenedVersion) => Promise<T>,
): Promise<T> {
  const { start, signal } = context;
  const { locator, job_id: jobId } = snapshot;
  if (locator.storage_backend !== 'rclone' || jobId === null) {
    throw new XVaultError('ARTIFACT_MISSING', { detail: 'the snapshot is not of the sync engine' });
  }
  const owned = `tenants/${start.tenant_id}/sources/${snapshot.source_id}/sync/${jobId}`;
  if (locator.prefix !== owned) throw new XVaultError('ARTIFACT_MISSING', { detail: 'the locator is of another job' });
  const version = requireVersion(locator.version);
  const sealed = start.destination_secret_sealed;
  const request: SyncRequest = {
    ...more,
    // What a server refuses so often, it refuses; the whole is tried again anyway. Not so what a WebDAV server locks while it writes.
    flags: more.target === undefined ? ['--low-level-retries=4'] : [],
    destination: { connection: snapshot.destination, sealed, prefix: locator.prefix },
    crypt: await openCryptSecret(start.job_secret_sealed != null, start, deps.config),
  };
  const readVersion = async (opened: OpenedVersion): Promise<T> => {
    await requireSentinel({ ...opened.store, jobId });
    return work(opened);
  };
  return withSync(context, deps, request, async (opened) => {
    const listsHashes = opened.destination?.remote.hashes === 'listed' && request.crypt === null;
    const { rc } = opened.run.rclone;
    const store = { rc, dstFs: opened.run.dstFs, directory: opened.directory, listsHashes, signal };
    return atDestination('reading the version', readVersion({ ...opened, version, store }));
  });
}

function requireVersion(text: string): Version {
  const version = parseVersion(text);
  if (version === undefined) throw new XVaultError('ARTIFACT_MISSING', { detail: `${text} is no version` });
  return version;
}
