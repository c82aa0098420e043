import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { ensureDirectory, storageError, syncDirectory } from '../../storage/local-fs-sync.ts';
import { hardLinksAsCopies } from './export-copies.ts';
import { tarZstStream } from './export-tar.ts';
import { zipStream } from './export-zip.ts';
import { fillEntries } from './restore-contents.ts';
import { restoreEntries } from './restore-entries.ts';
import { planRestore, type RestorePlan } from './restore-plan.ts';
import { type OnRestoreProgress, RestoreProgress } from './restore-progress.ts';

export type ExportFormat = 'tar.zst' | 'zip';

export interface ExportOptions {
  readonly reader: ArtifactReader;
  /** Snapshot paths as text, directories with all below them; null exports all. */
  readonly paths: readonly string[] | null;
  readonly format: ExportFormat;
  /** Where exports are kept; made when missing. */
  readonly exportsDir: string;
  readonly exportId: string;
  /** Names the file. */
  readonly snapshotId: string;
  readonly epoch: number;
  readonly signal: AbortSignal;
  readonly onProgress?: OnRestoreProgress;
}

export interface ExportResult {
  readonly fileCount: number;
  /** Of the files, before compression. */
  readonly bytes: number;
  readonly sizeBytes: number;
  /** Of the export file, hex. */
  readonly sha256: string;
  readonly fileName: string;
}

/**
 * Writes `<exportsDir>/<exportId>/snapshot-<snapshotId>.<format>`, modes as in the snapshot, published by a rename when it is whole and on the
 * disk. An export made by an earlier attempt is replaced. Throws RESTORE_PATH_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED, RESTORE_FAILED,
 * ARTIFACT_…; the signal's reason when aborted.
 */
export async function exportSnapshot(options: ExportOptions): Promise<ExportResult> {
  const { reader, signal } = options;
  for (const id of [options.exportId, options.snapshotId]) demandId(id);
  const plan = await planRestore(reader, options.paths, { allowSetuid: true, signal });
  const stream = exportStream(options, plan, new RestoreProgress(plan, options.onProgress));
  const directory = join(options.exportsDir, options.exportId);
  const fileName = `snapshot-${options.snapshotId}.${options.format}`;
  const part = join(directory, `${fileName}.part-${options.epoch}`);
  try {
    await ensureDirectory(options.exportsDir, options.exportsDir);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await removeOlderParts(directory, fileName, options.epoch);
    const written = await writeFile(part, stream, signal);
    await rename(part, join(directory, fileName));
    await syncDirectory(directory);
    await syncDirectory(options.exportsDir);
    return { fileCount: plan.fileCount, bytes: plan.totalBytes, ...written, fileName };
  } catch (error) {
    await removeLitter(part, directory);
    signal.throwIfAborted();
    throw storageError(error, `cannot write ${part}`);
  }
}

function exportStream(options: ExportOptions, plan: RestorePlan, progress: RestoreProgress): AsyncIterable<Buffer> {
  const { reader, format, signal } = options;
  const entries = () => restoreEntries(reader, plan, signal);
  if (format === 'tar.zst') return tarZstStream(fillEntries(reader, entries(), signal), progress);
  return zipStream(fillEntries(reader, hardLinksAsCopies(entries), signal), plan, progress);
}

async function writeFile(
  path: string,
  stream: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const handle = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of stream) {
      signal.throwIfAborted();
      hash.update(chunk);
      await writeAll(handle, chunk);
      sizeBytes += chunk.length;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { sizeBytes, sha256: hash.digest('hex') };
}

async function writeAll(handle: FileHandle, data: Buffer): Promise<void> {
  for (let done = 0; done < data.length; ) {
    done += (await handle.write(data, done, data.length - done)).bytesWritten;
  }
}

async function removeOlderParts(directory: string, fileName: string, epoch: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const found = Number(/\.part-(\d+)$/.exec(name)?.[1]);
    if (found <= epoch && name === `${fileName}.part-${found}`) await rm(join(directory, name), { force: true });
  }
}

async function removeLitter(part: string, directory: string): Promise<void> {
  await rm(part, { force: true });
  try {
    await rmdir(directory);
  } catch {
    // Not empty: an earlier attempt's export or a later one's part; or never made.
    return;
  }
}

function demandId(id: string): void {
  if (!idSchema.safeParse(id).success) {
    throw new XVaultError('RESTORE_FAILED', { detail: `not an id: ${JSON.stringify(id)}` });
  }
}
