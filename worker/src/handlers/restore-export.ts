import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import type { ArtifactReader } from '../artifact/artifact-reader.ts';
import {
  type ExportContents,
  encryptedContents,
  exportContents,
  type OnRestoreProgress,
  writeExportFile,
  writeExportObject,
} from '../engines/archive/restore.ts';
import type { S3Objects } from '../storage/s3-objects.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { locateSnapshot } from './open-snapshot.ts';

interface FilesExport {
  readonly reader: ArtifactReader;
  readonly onProgress: OnRestoreProgress;
}

/** Puts files of a snapshot into one file to download. */
export async function exportFiles(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
  { reader, onProgress }: FilesExport,
): Promise<ResultInput<'restore'>> {
  const { spec, signal } = context;
  const { target } = spec;
  if (target.type !== 'export' || target.format === 'encrypted') throw new Error('no export of files');
  const { format } = target;
  const snapshotId = spec.snapshot.snapshot_id;
  const contents = await exportContents({ reader, paths: spec.paths, format, snapshotId, signal, onProgress });
  const { objects } = await locateSnapshot(context.start, spec.snapshot, deps, signal);
  return keepExport(context, deps, objects, contents);
}

/** Hands a snapshot out as it is stored: no key is needed, so none is asked for. */
export async function exportEncrypted(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
  onProgress: OnRestoreProgress,
): Promise<ResultInput<'restore'>> {
  const { spec, start, signal } = context;
  const { storage, place, objects } = await locateSnapshot(start, spec.snapshot, deps, signal);
  const contents = encryptedContents({ storage, place, ref: spec.snapshot, signal, onProgress });
  return keepExport(context, deps, objects, contents);
}

/** On the worker's shelf, or in the bucket that the snapshot itself is in: then no worker's disk need hold it. */
async function keepExport(
  { spec, start, signal }: RunContext<'restore'>,
  deps: HandlerDeps,
  objects: S3Objects | null,
  { stream, fileName, fileCount, bytes }: ExportContents,
): Promise<ResultInput<'restore'>> {
  const { export_id: exportId, export_expires_at: expiresAt, snapshot } = spec;
  if (exportId === null || expiresAt === null) throw new Error('the Hub gave no export id');
  await deps.shelf.prepare(exportId, expiresAt);
  if (objects === null) {
    const options = { exportsDir: deps.shelf.root, exportId, fileName, epoch: start.epoch, signal };
    const { sizeBytes, sha256 } = await writeExportFile(stream, options);
    const file = { size_bytes: sizeBytes, sha256, file_name: fileName };
    return { kind: 'restore', file_count: fileCount, bytes, export: file };
  }
  const key = `exports/${exportId}/${fileName}`;
  const place = { bucket: objects.connection.bucket, object_key: objects.fullKey(key) };
  const { destination } = snapshot;
  const sealed = start.destination_secret_sealed;
  await deps.shelf.noteBucket(exportId, {
    object_key: place.object_key,
    destination,
    destination_secret_sealed: sealed,
  });
  const { sizeBytes, sha256 } = await writeExportObject(objects, key, stream);
  const file = { size_bytes: sizeBytes, sha256, file_name: fileName, s3: place };
  return { kind: 'restore', file_count: fileCount, bytes, export: file };
}
