import type { ExportContents, OpenFormat } from '../archive/export.ts';
import { tarGzStream, tarZstStream } from '../archive/export-tar.ts';
import { zipStream } from '../archive/export-zip.ts';
import type { FilledEntry } from '../archive/restore-contents.ts';
import type { RestoreEntry } from '../archive/restore-entries.ts';
import { demandUnmoved } from '../archive/restore-origin.ts';
import type { RestorePlan } from '../archive/restore-plan.ts';
import { type OnRestoreProgress, RestoreProgress } from '../archive/restore-progress.ts';
import type { Version } from './layout.ts';
import type { VersionStore } from './resolve.ts';
import { VersionOrigin } from './version-origin.ts';

export interface SyncExport {
  readonly store: VersionStore;
  readonly version: Version;
  /** Objects and directories with all below them; null exports all. */
  readonly paths: readonly string[] | null;
  readonly format: OpenFormat;
  /** Names the file. */
  readonly snapshotId: string;
  readonly onProgress: OnRestoreProgress;
}

export interface VersionContents extends ExportContents {
  /** Keys of a bucket that cannot be paths, and are left out. */
  readonly unfit: readonly string[];
}

/**
 * A version's objects as one file, which comes into being as its stream is read. Throws RESTORE_PATH_NOT_FOUND, SYNC_VERSION_BROKEN,
 * STORAGE_…, and so does the stream.
 */
export async function exportVersion({ store, version, paths, ...request }: SyncExport): Promise<VersionContents> {
  const origin = new VersionOrigin(store, version, paths);
  const plan = await origin.plan({ allowSetuid: false });
  const progress = new RestoreProgress(plan, request.onProgress);
  return {
    fileName: `snapshot-${request.snapshotId}.${request.format}`,
    fileCount: plan.fileCount,
    bytes: plan.totalBytes,
    stream: streamOf(request.format, filesOf(origin), plan, progress),
    unfit: origin.unfit,
  };
}

async function* filesOf(origin: VersionOrigin): AsyncGenerator<FilledEntry> {
  yield* origin.fill(withoutImplied(origin.entries()));
  await demandUnmoved(origin);
}

/** Directories of which nothing is known come into being where it is unpacked. */
async function* withoutImplied(entries: AsyncIterable<RestoreEntry>): AsyncGenerator<RestoreEntry> {
  for await (const entry of entries) if (entry.isImplied !== true) yield entry;
}

function streamOf(
  format: OpenFormat,
  entries: AsyncIterable<FilledEntry>,
  plan: RestorePlan,
  progress: RestoreProgress,
): AsyncIterable<Buffer> {
  switch (format) {
    case 'tar.zst':
      return tarZstStream(entries, progress);
    case 'tar.gz':
      return tarGzStream(entries, progress);
    case 'zip':
      return zipStream(entries, plan, progress);
  }
}
