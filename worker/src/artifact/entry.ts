export type EntryType = 'file' | 'directory' | 'symlink' | 'hardlink';

/** One line of the index: an entry of the tar stream and where it is. */
export interface IndexEntry {
  readonly path: Buffer;
  readonly type: EntryType;
  /** Content size of a regular file, holes and the padding for a file that shrank included; else 0. */
  readonly sizeBytes: number;
  /** Of a file with holes: what the tar holds of it, its map and its data. null: all of `sizeBytes`. */
  readonly sparseBytes: number | null;
  /** Bytes of zeros at the end of the content that stand for what a file lost while it was read. */
  readonly paddingBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Target of a symlink, or the path of a hard link's first name. */
  readonly linkTarget: Buffer | null;
  /** Of a regular file's stored content, hex: of what the tar holds, padding included; of map and data where it is sparse. */
  readonly sha256: string | null;
  /** Where the entry's first header block (pax included) begins in the tar stream. */
  readonly tarOffset: number;
  /** Where its content begins in the tar stream; equals the end of the headers. */
  readonly dataOffset: number;
  /** Which artifact holds the bytes; null is this snapshot's own. Reserved for incremental engines. */
  readonly pack: string | null;
  /** Extended attributes in the entry's header; absent for none. */
  readonly xattrCount?: number;
  /** What a bucket said of the object: `etag`, `content_type`, and its own metadata as `meta:<name>`. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Extended attributes, as native code packs them: names and values, each with its length before it. */
export interface Xattrs {
  readonly packed: Buffer;
  readonly count: number;
}

/** Bytes that the tar holds after an entry's headers, without what fills its last block. */
export function storedBytesOf({ sizeBytes, sparseBytes }: Pick<IndexEntry, 'sizeBytes' | 'sparseBytes'>): number {
  return sparseBytes ?? sizeBytes;
}
