export type EntryType = 'file' | 'directory' | 'symlink' | 'hardlink';

/** One line of the index: an entry of the tar stream and where it is. */
export interface IndexEntry {
  readonly path: Buffer;
  readonly type: EntryType;
  /** Content size of a regular file as stored in the tar, padding for a file that shrank included; else 0. */
  readonly sizeBytes: number;
  /** Bytes of zeros at the end of the content that stand for what a file lost while it was read. */
  readonly paddingBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Target of a symlink, or the path of a hard link's first name. */
  readonly linkTarget: Buffer | null;
  /** Of a regular file's stored content (padding included), hex. */
  readonly sha256: string | null;
  /** Where the entry's first header block (pax included) begins in the tar stream. */
  readonly tarOffset: number;
  /** Where its content begins in the tar stream; equals the end of the headers. */
  readonly dataOffset: number;
  /** Which artifact holds the bytes; null is this snapshot's own. Reserved for incremental engines. */
  readonly pack: string | null;
}
