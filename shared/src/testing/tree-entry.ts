import type { BigIntStats } from 'node:fs';
import { lstat } from 'node:fs/promises';

export type EntryKind = 'file' | 'directory' | 'symlink' | 'special';

export interface TreeEntry {
  readonly path: Buffer;
  readonly kind: EntryKind;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly owner: string;
  /** Names the file among hard links; null when it has one name only. */
  readonly inode: string | null;
}

/** What a directory entry is, without following symlinks. */
export async function inspect(path: Buffer): Promise<TreeEntry> {
  const stats = await lstat(path, { bigint: true });
  const kind = kindOf(stats);
  return {
    path,
    kind,
    mode: Number(stats.mode & 0o7777n),
    size: Number(stats.size),
    mtimeNs: stats.mtimeNs,
    owner: `${stats.uid}:${stats.gid}`,
    inode: kind === 'file' && stats.nlink > 1n ? `${stats.dev}:${stats.ino}` : null,
  };
}

function kindOf(stats: BigIntStats): EntryKind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : 'special';
}
