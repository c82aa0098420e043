import { XVaultError } from '@xvault/shared/errors.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import type { ExportFormat } from '@xvault/shared/restore-targets.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { hardLinksAsCopies } from './export-copies.ts';
import { encryptedStream, type StoredExport } from './export-encrypted.ts';
import { type ExportFile, type ExportFileOptions, writeExportFile } from './export-file.ts';
import { tarGzStream, tarZstStream } from './export-tar.ts';
import { zipStream } from './export-zip.ts';
import { fillEntries } from './restore-contents.ts';
import { restoreEntries } from './restore-entries.ts';
import { planRestore, type RestorePlan } from './restore-plan.ts';
import { type OnRestoreProgress, RestoreProgress } from './restore-progress.ts';
import { withoutHoles } from './restore-sparse.ts';

/** Formats that hold the files themselves. */
export type OpenFormat = Exclude<ExportFormat, 'encrypted'>;

export interface ExportContentsOptions {
  readonly reader: ArtifactReader;
  /** Snapshot paths as text, directories with all below them; null exports all. */
  readonly paths: readonly string[] | null;
  readonly format: OpenFormat;
  /** Names the file. */
  readonly snapshotId: string;
  readonly signal: AbortSignal;
  readonly onProgress?: OnRestoreProgress;
}

/** An export that is about to be made: it comes into being as its stream is read. */
export interface ExportContents {
  readonly fileName: string;
  readonly fileCount: number;
  /** Of the files, before compression. */
  readonly bytes: number;
  readonly stream: AsyncIterable<Buffer>;
}

/** Modes are as in the snapshot. Throws RESTORE_PATH_NOT_FOUND, ARTIFACT_…, and so does the stream. */
export async function exportContents(options: ExportContentsOptions): Promise<ExportContents> {
  const { reader, paths, format, signal } = options;
  const plan = await planRestore(reader, paths, { allowSetuid: true, signal });
  return {
    fileName: fileNameOf(options.snapshotId, format),
    fileCount: plan.fileCount,
    bytes: plan.totalBytes,
    stream: exportStream(options, plan, new RestoreProgress(plan, options.onProgress)),
  };
}

/** The snapshot as it is stored, for whoever holds the key. */
export function encryptedContents(stored: StoredExport): ExportContents {
  const { snapshot_id, artifact_bytes, index_bytes, manifest_bytes } = stored.ref;
  return {
    fileName: fileNameOf(snapshot_id, 'encrypted.tar'),
    fileCount: 0,
    bytes: artifact_bytes + index_bytes + (manifest_bytes ?? 0),
    stream: encryptedStream(stored),
  };
}

export type ExportOptions = ExportContentsOptions & Omit<ExportFileOptions, 'fileName'>;
export type ExportResult = ExportFile & Omit<ExportContents, 'stream'>;

/** Makes an export of files on the worker's shelf; see {@link exportContents} and {@link writeExportFile}. */
export async function exportSnapshot(options: ExportOptions): Promise<ExportResult> {
  const { stream, ...contents } = await exportContents(options);
  return { ...contents, ...(await writeExportFile(stream, { ...options, fileName: contents.fileName })) };
}

function exportStream(
  { reader, format, signal }: ExportContentsOptions,
  plan: RestorePlan,
  progress: RestoreProgress,
): AsyncIterable<Buffer> {
  const entries = restoreEntries(reader, plan, signal);
  switch (format) {
    case 'tar.zst':
      return tarZstStream(fillEntries(reader, entries, signal), progress);
    case 'tar.gz':
      return tarGzStream(fillEntries(reader, entries, signal), progress);
    case 'zip':
      return zipStream(fillEntries(reader, withoutHoles(hardLinksAsCopies(entries)), signal), plan, progress);
  }
}

function fileNameOf(snapshotId: string, ending: string): string {
  if (!idSchema.safeParse(snapshotId).success) {
    throw new XVaultError('RESTORE_FAILED', { detail: `not an id: ${JSON.stringify(snapshotId)}` });
  }
  return `snapshot-${snapshotId}.${ending}`;
}
