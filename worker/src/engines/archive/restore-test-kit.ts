/** For tests: makes real snapshots on a real disk, also such as no backup would make. */
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { type SnapshotRef, snapshotRef } from '@xvault/shared/snapshots.ts';
import { type ArtifactReader, openArtifact } from '../../artifact/artifact-reader.ts';
import { ArtifactWriter } from '../../artifact/artifact-writer.ts';
import { CompressPool } from '../../artifact/compress-pool.ts';
import { tarPaddingBytes } from '../../artifact/tar.ts';
import { createLocalFsStorage, localPathOf } from '../../storage/local-fs.ts';
import type { SnapshotPlace, SnapshotStorage } from '../../storage/storage.ts';
import { writeDescription } from './backup-description.ts';
import { removeTree } from './restore-extract.ts';

interface Common {
  /** Text is UTF-8. */
  readonly path: string | Buffer;
  readonly mode?: number;
  readonly mtimeNs?: bigint;
  readonly uid?: number;
  readonly gid?: number;
}
export type TreeEntry = Common &
  (
    | { readonly type: 'directory' }
    /** `announcedBytes`: what the file had when it was opened, if more than `data`. */
    | { readonly type: 'file'; readonly data?: Buffer | string; readonly announcedBytes?: number }
    /** With holes: all but these pieces, whose lengths are multiples of 512 where they do not end the file. */
    | { readonly type: 'sparse'; readonly sizeBytes: number; readonly pieces: readonly (readonly [number, Buffer])[] }
    | { readonly type: 'symlink'; readonly target: string | Buffer }
    | { readonly type: 'hardlink'; readonly target: string | Buffer }
  );

export interface TestSnapshot {
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  readonly ref: SnapshotRef;
  readonly identity: string;
  /** Of the snapshot's files. */
  readonly directory: string;
  readonly open: () => Promise<ArtifactReader>;
}

export interface TestFolder {
  readonly path: string;
  readonly remove: () => Promise<void>;
}

export async function testFolder(): Promise<TestFolder> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'xvault-restore-')));
  return { path, remove: () => removeTree(path) };
}

export const defaultMtimeNs = 1_700_000_000_123_456_789n;
const provenance = { jobId: 'job', runId: 'run', attempt: 1, workerId: 'worker', destinationId: 'destination' };
const place: SnapshotPlace = { tenantId: 'tenant', sourceId: 'source', snapshotId: 'snap' };

/** Writes the entries, in this order and unchecked, as a snapshot: into the folder unless another storage is given. */
export async function makeSnapshot(
  folder: string,
  tree: Iterable<TreeEntry> | AsyncIterable<TreeEntry>,
  given?: SnapshotStorage,
): Promise<TestSnapshot> {
  const root = join(folder, 'storage');
  const storage = given ?? createLocalFsStorage(root);
  const { identity, recipient } = await generateKeyPair();
  const pool = new CompressPool(1);
  const signal = new AbortController().signal;
  try {
    const pending = await storage.create(place, 1);
    const writer = await ArtifactWriter.create({ pending, recipients: [recipient], compressionLevel: 1, pool, signal });
    for await (const entry of tree) await writeEntry(writer, entry);
    const written = await writer.finish();
    const now = new Date();
    const described = await writeDescription({
      pending,
      backup: { place, epoch: 1, provenance, session: {} },
      snapshot: {
        snapshot_id: place.snapshotId,
        entry_count: written.entryCount,
        file_count: written.fileCount,
        source_bytes: written.sourceBytes,
        tar_bytes: written.tarBytes,
        stored_bytes: written.artifact.sizeBytes + written.index.sizeBytes,
        artifact_bytes: written.artifact.sizeBytes,
        artifact_sha256: written.artifact.sha256,
        index_bytes: written.index.sizeBytes,
        index_sha256: written.index.sha256,
        encryption: { algorithm: 'age', recipients: [recipient] },
      },
      written,
      warningCount: 0,
      startedAt: now,
      finishedAt: now,
    });
    await pending.commit();
    return {
      storage,
      place,
      identity,
      directory: join(root, localPathOf(place)),
      ref: snapshotRef.parse({
        snapshot_id: place.snapshotId,
        source_id: place.sourceId,
        locator: { storage_backend: 'local_fs', worker_id: 'worker', local_path: localPathOf(place) },
        artifact_bytes: written.artifact.sizeBytes,
        artifact_sha256: written.artifact.sha256,
        index_bytes: written.index.sizeBytes,
        index_sha256: written.index.sha256,
        manifest_bytes: described.manifest_bytes,
        manifest_sha256: described.manifest_sha256,
      }),
      open: () => openArtifact({ storage, place, identities: [identity] }),
    };
  } finally {
    await pool.close();
  }
}

async function writeEntry(writer: ArtifactWriter, entry: TreeEntry): Promise<void> {
  const data = entry.type === 'file' ? bytesOf(entry.data ?? '') : Buffer.alloc(0);
  const meta = {
    path: bytesOf(entry.path),
    sizeBytes: data.length,
    mode: entry.mode ?? (entry.type === 'directory' ? 0o755 : 0o644),
    uid: entry.uid ?? process.getuid?.() ?? 0,
    gid: entry.gid ?? process.getgid?.() ?? 0,
    mtimeNs: entry.mtimeNs ?? defaultMtimeNs,
  };
  if (entry.type === 'directory') await writer.addDirectory(meta);
  else if (entry.type === 'sparse') await writeSparse(writer, { ...meta, sizeBytes: entry.sizeBytes }, entry.pieces);
  else if (entry.type === 'symlink') await writer.addSymlink(meta, bytesOf(entry.target));
  else if (entry.type === 'hardlink') await writer.addHardlink(meta, bytesOf(entry.target));
  else if (entry.announcedBytes === undefined) await writer.addFile(meta, data);
  else {
    await writer.beginFile({ ...meta, sizeBytes: entry.announcedBytes });
    await writer.write(data);
    await writer.endFile();
  }
}

/** In GNU's format 1.0: a map as text, filled up to a block, then the pieces. */
async function writeSparse(
  writer: ArtifactWriter,
  meta: Parameters<ArtifactWriter['beginFile']>[0],
  pieces: readonly (readonly [number, Buffer])[],
): Promise<void> {
  const numbers = [pieces.length, ...pieces.flatMap(([offset, data]) => [offset, data.length])];
  const text = Buffer.from(numbers.map((number) => `${number}\n`).join(''));
  const map = Buffer.concat([text, Buffer.alloc(tarPaddingBytes(text.length))]);
  const stored = Buffer.concat([map, ...pieces.map(([, data]) => data)]);
  await writer.beginFile(meta, stored.length);
  await writer.write(stored);
  await writer.endFile();
}

export function bytesOf(value: string | Buffer): Buffer {
  return typeof value === 'string' ? Buffer.from(value) : value;
}
