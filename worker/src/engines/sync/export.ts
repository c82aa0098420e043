import { XVaultError } from '@xvault/shared/errors.ts';
import type { ExportContents, OpenFormat } from '../archive/export.ts';
import { tarGzStream, tarZstStream } from '../archive/export-tar.ts';
import { zipStream } from '../archive/export-zip.ts';
import { demandSafePath } from '../archive/paths.ts';
import type { FilledEntry } from '../archive/restore-contents.ts';
import type { RestorePlan } from '../archive/restore-plan.ts';
import { type OnRestoreProgress, RestoreProgress } from '../archive/restore-progress.ts';
import { RestoreSelection } from '../archive/restore-selection.ts';
import type { Version } from './layout.ts';
import type { ManifestEntry } from './manifest.ts';
import { type PlacedObjects, resolveVersion, type VersionStore } from './resolve.ts';
import { choose } from './restore.ts';

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

/** A version's objects as one file, which comes into being as its stream is read. Throws RESTORE_PATH_NOT_FOUND, SYNC_VERSION_BROKEN, and so does the stream. */
export async function exportVersion(request: SyncExport): Promise<ExportContents> {
  const { manifest, places } = await resolveVersion(request.store, request.version);
  const chosen = choose(places, request.paths);
  const plan = planOf(chosen);
  const progress = new RestoreProgress(plan, request.onProgress);
  const entries = fill(request.store, chosen, manifest.header.created_at);
  return {
    fileName: `snapshot-${request.snapshotId}.${request.format}`,
    fileCount: plan.fileCount,
    bytes: plan.totalBytes,
    stream: streamOf(request.format, entries, plan, progress),
  };
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

function planOf(places: readonly PlacedObjects[]): RestorePlan {
  const fileCount = places.reduce((sum, { entries }) => sum + entries.length, 0);
  const totalBytes = places.reduce((sum, { entries }) => entries.reduce((all, { size }) => all + size, sum), 0);
  return {
    selection: new RestoreSelection(null),
    allowSetuid: false,
    entryCount: fileCount,
    fileCount,
    totalBytes,
    setuidDropped: 0,
    notDirectories: new Set(),
    firstNames: new Map(),
    linkTargets: new Set(),
  };
}

async function* fill(
  store: VersionStore,
  places: readonly PlacedObjects[],
  createdAt: string,
): AsyncGenerator<FilledEntry> {
  for (const { place, entries } of places) {
    for (const entry of entries) {
      const path = Buffer.from(entry.path);
      demandSafePath(path);
      const member = {
        path,
        type: 'file' as const,
        sizeBytes: entry.size,
        // What a destination keeps has neither mode nor owner.
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtimeNs: BigInt(Date.parse(entry.mtime ?? createdAt)) * 1_000_000n,
        linkTarget: null,
      };
      yield { member, content: null, isLinked: false, chunks: contentOf(store, place, entry) };
    }
  }
}

/** Throws SYNC_VERSION_BROKEN unless the object has the length that the version says. */
async function* contentOf({ rc, dstFs, signal }: VersionStore, place: string, { path, size }: ManifestEntry) {
  let left = size;
  try {
    for await (const chunk of await rc.open(`${dstFs}${place}`, path, signal)) {
      left -= chunk.length;
      if (left < 0) break;
      yield chunk as Buffer;
    }
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof XVaultError) throw cause;
    throw new XVaultError('SYNC_VERSION_BROKEN', { detail: `${path} cannot be read: ${String(cause)}`, cause });
  }
  if (left !== 0) throw new XVaultError('SYNC_VERSION_BROKEN', { detail: `${path} has another length` });
}
