import type { Progress } from '@xvault/shared/internal-api.ts';
import type { ArchiveOptions } from '@xvault/shared/run-kinds.ts';
import type { SnapshotResult } from '@xvault/shared/snapshots.ts';
import { ArtifactWriter, type WrittenArtifact } from '../../artifact/artifact-writer.ts';
import type { CompressPool } from '../../artifact/compress-pool.ts';
import type { SkippedItem, SourceSession } from '../../connectors/connector.ts';
import type { SnapshotPlace, SnapshotStorage } from '../../storage/storage.ts';
import { BackupCopy } from './backup-copy.ts';
import { type Description, writeDescription } from './backup-description.ts';
import { Packer } from './backup-pack.ts';
import { BackupProgress } from './backup-progress.ts';
import { readSource } from './backup-source.ts';
import { packSource } from './pack-source.ts';

/** Whose run this is; all of it goes to the snapshot's meta.json. */
export interface BackupProvenance {
  readonly jobId: string;
  readonly runId: string;
  readonly attempt: number;
  readonly workerId: string;
  readonly destinationId: string;
}

export interface BackupOptions {
  readonly session: SourceSession;
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  readonly epoch: number;
  readonly provenance: BackupProvenance;
  /** age recipients that artifact and index are encrypted to. */
  readonly recipients: readonly string[];
  readonly options: ArchiveOptions;
  readonly pool: CompressPool;
  readonly signal: AbortSignal;
  /** Called often, at each batch of files; the caller throttles. */
  readonly onProgress: (progress: Progress) => void;
  /** Called once for each item that is missing or was stored while it changed. */
  readonly onWarning: (item: SkippedItem) => void;
}

export interface BackupResult {
  /** What the Hub is told, but for the locator. */
  readonly snapshot: Omit<SnapshotResult, 'locator'>;
  readonly warningCount: number;
}

/**
 * Backs a source up into a new snapshot and publishes it. On any failure nothing is published or left behind; throws
 * XVaultError, or the signal's reason when aborted.
 */
export async function backupToSnapshot(backup: BackupOptions): Promise<BackupResult> {
  const startedAt = new Date();
  const pending = await backup.storage.create(backup.place, backup.epoch);
  // Ends listing, reading and measuring as soon as one of them, or writing, fails.
  const stop = new AbortController();
  const signal = AbortSignal.any([backup.signal, stop.signal]);
  let writer: ArtifactWriter | undefined;
  try {
    const { recipients, pool } = backup;
    const compressionLevel = backup.options.compression_level;
    writer = await ArtifactWriter.create({ pending, recipients, compressionLevel, pool, signal });
    const progress = new BackupProgress(backup.onProgress);
    const { warningCount, written } = await copySource(backup, writer, progress, signal);
    const snapshot = await writeDescription({
      pending,
      backup,
      snapshot: snapshotOf(backup, written),
      written,
      warningCount,
      startedAt,
      finishedAt: new Date(),
    });
    signal.throwIfAborted();
    await pending.commit();
    progress.complete();
    return { snapshot, warningCount };
  } catch (error) {
    stop.abort(error);
    await writer?.settle();
    // What cannot be removed now is an unpublished part, which the sweeper removes; the first error is the one to tell.
    await Promise.allSettled([pending.abort()]);
    throw backup.signal.aborted ? backup.signal.reason : error;
  }
}

async function copySource(
  backup: BackupOptions,
  writer: ArtifactWriter,
  progress: BackupProgress,
  signal: AbortSignal,
): Promise<{ warningCount: number; written: WrittenArtifact }> {
  const { session, onWarning } = backup;
  const { one_file_system, follow_symlinks, read_concurrency } = backup.options;
  const listOptions = {
    oneFileSystem: one_file_system,
    followSymlinks: follow_symlinks,
    ...(read_concurrency === null ? {} : { readConcurrency: read_concurrency }),
    signal,
  };
  // The percentage is a comfort: where counting fails, listing will say why, or there is none.
  session.measure(listOptions).then(
    (measure) => progress.measured(measure),
    () => progress.unmeasurable(),
  );
  const compressionLevel = backup.options.compression_level;
  const packer = new Packer({ session, pool: backup.pool, compressionLevel, signal });
  const copy = new BackupCopy({ session, packer, writer, progress, onWarning, signal });
  try {
    if (session.pack === undefined) for await (const items of readSource(session, listOptions)) await copy.add(items);
    else for await (const item of packSource(session, packer, listOptions)) await copy.add([item]);
  } finally {
    copy.close();
  }
  return { warningCount: copy.warningCount, written: await writer.finish() };
}

function snapshotOf(backup: BackupOptions, written: WrittenArtifact): Description['snapshot'] {
  return {
    snapshot_id: backup.place.snapshotId,
    entry_count: written.entryCount,
    file_count: written.fileCount,
    source_bytes: written.sourceBytes,
    tar_bytes: written.tarBytes,
    stored_bytes: written.artifact.sizeBytes + written.index.sizeBytes,
    artifact_bytes: written.artifact.sizeBytes,
    artifact_sha256: written.artifact.sha256,
    index_bytes: written.index.sizeBytes,
    index_sha256: written.index.sha256,
    encryption: { algorithm: 'age', recipients: [...backup.recipients] },
  };
}
