import { XVaultError } from '@xvault/shared/errors.ts';
import type { ResultInput, RunKind } from '@xvault/shared/run-kinds.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { parseVersion, type Version } from '../engines/sync/layout.ts';
import { toProgress } from '../engines/sync/progress.ts';
import type { VersionStore } from '../engines/sync/resolve.ts';
import { restoreVersion } from '../engines/sync/restore.ts';
import { retainVersions } from '../engines/sync/retain.ts';
import { requireSentinel } from '../engines/sync/sentinel.ts';
import { validateVersion } from '../engines/sync/validate.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { progressReporter, statusReporter } from './progress-reporter.ts';
import { type OpenedSync, type SyncRequest, withSync } from './sync-run.ts';
import { openCryptSecret } from './sync-secrets.ts';

const progressEventMs = 2_000;
const namedItems = 1000;

/** Brings a version of the sync engine, or some of it, to a source or a directory. */
export async function handleSyncRestore(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
): Promise<ResultInput<'restore'>> {
  const { spec, start } = context;
  const { connection, overwrite, path } = targetOf(spec.target);
  if (overwrite === 'rename') throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: 'policy rename' });
  const target = { connection, sealed: start.target_secret_sealed, path };
  return withVersion(context, deps, spec.snapshot, { target }, async ({ run, log, version, store }) => {
    const report = progressReporter(context, progressEventMs);
    const restored = await restoreVersion({
      store,
      version,
      paths: spec.paths,
      tgtFs: run.tgtFs,
      overwrite,
      dryRun: spec.dry_run,
      onStats: (stats) => report(toProgress(stats)),
      takeItemErrors: () => log.takeItemErrors(),
    });
    for (const item of restored.failed) {
      context.countWarning();
      if (restored.failed.indexOf(item) >= namedItems) continue;
      const params = { item: item.slice(0, 1024).toWellFormed() };
      context.emit({
        type: 'warning',
        level: 'warn',
        code: 'ITEM_NOT_RESTORED',
        message_id: 'item_not_restored',
        params,
      });
    }
    const { fileCount, bytes, actions, changes } = restored;
    context.emit({
      type: 'summary',
      level: 'info',
      code: 'RESTORE_DONE',
      message_id: 'restore_done',
      params: { files: spec.dry_run ? 0 : fileCount, bytes: spec.dry_run ? 0 : bytes },
    });
    const done = spec.dry_run ? { file_count: 0, bytes: 0 } : { file_count: fileCount, bytes };
    return { kind: 'restore', ...done, export: null, actions, changes: [...changes] };
  });
}

/** Reads a version back. */
export async function handleSyncValidation(
  context: RunContext<'validation'>,
  deps: HandlerDeps,
): Promise<ResultInput<'validation'>> {
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
      };
    } catch (error) {
      if (!(error instanceof XVaultError) || error.code !== 'SYNC_VERSION_BROKEN') throw error;
      context.note(error.detail ?? error.code);
      const nothing = { files_checked: 0, bytes_checked: 0, differing: [] };
      return { kind: 'validation', verdict: 'failed', ...nothing, error_code: error.code };
    }
  });
}

/** Forgets a version and removes what no other one needs. */
export async function handleSyncRetention(
  context: RunContext<'retention'>,
  deps: HandlerDeps,
): Promise<ResultInput<'retention'>> {
  const { snapshot, keep_versions } = context.spec;
  return withVersion(context, deps, snapshot, {}, async ({ store, version }) => {
    const keep = keep_versions.map(requireVersion);
    const removed = await retainVersions(store, version, keep);
    context.note(`removed ${removed.removedVersions} versions and ${removed.removedObjects} objects`);
    return { kind: 'retention' };
  });
}

interface OpenedVersion extends OpenedSync {
  readonly version: Version;
  readonly store: VersionStore;
}

/** Opens the place of a version and makes sure that it is the job's and that its key fits. */
async function withVersion<T, K extends RunKind>(
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
    destination: { connection: snapshot.destination, sealed, prefix: locator.prefix },
    crypt: await openCryptSecret(start.job_secret_sealed != null, start, deps.config),
  };
  return withSync(context, deps, request, async (opened) => {
    const store = { rc: opened.run.rclone.rc, dstFs: opened.run.dstFs, directory: opened.directory, signal };
    await requireSentinel({ ...store, jobId });
    return work({ ...opened, version, store });
  });
}

function requireVersion(text: string): Version {
  const version = parseVersion(text);
  if (version === undefined) throw new XVaultError('ARTIFACT_MISSING', { detail: `${text} is no version` });
  return version;
}

function targetOf(target: RunContext<'restore'>['spec']['target']): {
  readonly connection: SourceConnection;
  readonly overwrite: 'never' | 'if_newer' | 'always' | 'rename';
  readonly path: string | null;
} {
  switch (target.type) {
    case 'source':
      return { connection: target.source, overwrite: target.overwrite, path: target.path };
    case 'directory':
      return { connection: { type: 'local', config: { path: target.path } }, overwrite: 'never', path: null };
    default:
      throw new XVaultError('RESTORE_TARGET_UNSUPPORTED', { detail: `target ${target.type}` });
  }
}
