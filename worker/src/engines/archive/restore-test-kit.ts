/** For tests: makes real snapshots on a real disk, also such as no backup would make. */
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { type SnapshotRef, snapshotRef } from '@xvault/shared/snapshots.ts';
import { type ArtifactReader, openArtifact } from '../../artifact/artifact-reader.ts';
import { ArtifactWriter } from '../../artifact/artifact-writer.ts';
import { CompressPool } from '../../artifact/compress-pool.ts';
import { createLocalFsStorage, localPathOf } from '../../storage/local-fs.ts';
import type { SnapshotPlace, SnapshotStorage } from '../../storage/storage.ts';
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
const place: SnapshotPlace = { tenantId: 'tenant', sourceId: 'source', snapshotId: 'snap' };

/** Writes the entries, in this order and unchecked, as a snapshot. */
export async function makeSnapshot(
  folder: string,
  tree: Iterable<TreeEntry> | AsyncIterable<TreeEntry>,
): Promise<TestSnapshot> {
  const root = join(folder, 'storage');
  const storage = createLocalFsStorage(root);
  const { identity, recipient } = await generateKeyPair();
  const pool = new CompressPool(1);
  const signal = new AbortController().signal;
  try {
    const pending = await storage.create(place, 1);
    const writer = await ArtifactWriter.create({ pending, recipients: [recipient], compressionLevel: 1, pool, signal });
    for await (const entry of tree) await writeEntry(writer, entry);
    const written = await writer.finish();
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
  else if (entry.type === 'symlink') await writer.addSymlink(meta, bytesOf(entry.target));
  else if (entry.type === 'hardlink') await writer.addHardlink(meta, bytesOf(entry.target));
  else if (entry.announcedBytes === undefined) await writer.addFile(meta, data);
  else {
    await writer.beginFile({ ...meta, sizeBytes: entry.announcedBytes });
    await writer.write(data);
    await writer.endFile();
  }
}

export function bytesOf(value: string | Buffer): Buffer {
  return typeof value === 'string' ? Buffer.from(value) : value;
}
