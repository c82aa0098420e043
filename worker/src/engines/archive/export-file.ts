import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import { ensureDirectory, storageError, syncDirectory } from '../../storage/local-fs-sync.ts';

export interface ExportFileOptions {
  /** Where exports are kept; made when missing. */
  readonly exportsDir: string;
  readonly exportId: string;
  readonly fileName: string;
  readonly epoch: number;
  readonly signal: AbortSignal;
}

export interface ExportFile {
  readonly sizeBytes: number;
  /** Of the export file, hex. */
  readonly sha256: string;
}

/**
 * Writes `<exportsDir>/<exportId>/<fileName>`, published by a rename when it is whole and on the disk. An export made by an earlier
 * attempt is replaced. Throws STORAGE_FULL, STORAGE_FAILED, what the stream throws; the signal's reason when aborted.
 */
export async function writeExportFile(
  stream: AsyncIterable<Buffer>,
  { exportsDir, exportId, fileName, epoch, signal }: ExportFileOptions,
): Promise<ExportFile> {
  if (!idSchema.safeParse(exportId).success) {
    throw new XVaultError('RESTORE_FAILED', { detail: `not an id: ${JSON.stringify(exportId)}` });
  }
  const directory = join(exportsDir, exportId);
  const part = join(directory, `${fileName}.part-${epoch}`);
  try {
    await ensureDirectory(exportsDir, exportsDir);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await removeOlderParts(directory, fileName, epoch);
    const written = await writeStream(part, stream, signal);
    await rename(part, join(directory, fileName));
    await syncDirectory(directory);
    await syncDirectory(exportsDir);
    return written;
  } catch (error) {
    await removeLitter(part, directory);
    signal.throwIfAborted();
    throw storageError(error, `cannot write ${part}`);
  }
}

async function writeStream(path: string, stream: AsyncIterable<Buffer>, signal: AbortSignal): Promise<ExportFile> {
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
