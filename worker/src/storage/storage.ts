/** Names a snapshot's place; ids only, never user-given text. */
export interface SnapshotPlace {
  readonly tenantId: string;
  readonly sourceId: string;
  readonly snapshotId: string;
}

/** The four files of a snapshot. */
export const snapshotFiles = {
  artifact: 'backup.tar.zst.enc',
  index: 'index.jsonl.zst.enc',
  manifest: 'manifest.json',
  meta: 'meta.json',
} as const;
export type SnapshotFileName = (typeof snapshotFiles)[keyof typeof snapshotFiles];

/** A file being written front to back. */
export interface FileWriter {
  /** Resolves when more may be written (backpressure); the buffer may be reused after that. Throws STORAGE_FULL, STORAGE_FAILED. */
  write(data: Buffer): Promise<void>;
  /** Flushes to the disk. */
  close(): Promise<void>;
}

/** A file that is a new beginning and what a stored file has from some place on. */
export interface FileCopy {
  readonly head: Buffer;
  readonly source: FileReader;
  readonly from: number;
  /** Bytes of `source` that are copied. */
  readonly onProgress?: (sizeBytes: number) => void;
}

/** A snapshot being written under its own epoch: nobody sees it until `commit`. */
export interface PendingSnapshot {
  createFile(name: SnapshotFileName): Promise<FileWriter>;
  /**
   * For storages that copy by themselves, so that the bytes do not come here: true when the file is there as if it had been written
   * and closed, false when it was not worth it or the server would not, and the file has to be written. Throws STORAGE_….
   */
  copyFile?(name: SnapshotFileName, copy: FileCopy): Promise<boolean>;
  /** Publishes all files at once and durably. After this `abort` does nothing. */
  commit(): Promise<void>;
  /** Removes what was written; safe to call at any time, also after a failed commit. */
  abort(): Promise<void>;
}

/** A stored file that can be read anywhere. */
export interface FileReader {
  readonly sizeBytes: number;
  /** Exactly `length` bytes from `offset`; throws ARTIFACT_TRUNCATED when they are not there. */
  read(offset: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

export interface StoredItem {
  readonly place: SnapshotPlace;
  /** Set for a part that was never published. */
  readonly epoch: number | null;
}

/** Where snapshots are kept. One conformance suite holds for all implementations. */
export interface SnapshotStorage {
  create(place: SnapshotPlace, epoch: number): Promise<PendingSnapshot>;
  /** Throws ARTIFACT_MISSING when the snapshot or the file is not there. */
  open(place: SnapshotPlace, name: SnapshotFileName): Promise<FileReader>;
  /** Removes a published snapshot; removing what is not there is success. */
  delete(place: SnapshotPlace): Promise<void>;
  /** Removes an unpublished part. */
  deletePart(place: SnapshotPlace, epoch: number): Promise<void>;
  list(): AsyncIterable<StoredItem>;
  space(): Promise<{ freeBytes: number; totalBytes: number }>;
}
