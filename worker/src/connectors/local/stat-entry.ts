import type { BigIntStats } from 'node:fs';
import type { SourceEntry } from '../connector.ts';

/** The type of what can be backed up; undefined for sockets, pipes and devices. */
export function entryType(stats: BigIntStats): SourceEntry['type'] | undefined {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : undefined;
}

export function toEntry(path: Buffer, type: SourceEntry['type'], stats: BigIntStats, linkTarget?: Buffer): SourceEntry {
  return {
    path,
    type,
    sizeBytes: type === 'file' ? Number(stats.size) : 0,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeNs: stats.mtimeNs,
    ...(linkTarget === undefined ? {} : { linkTarget }),
    // Symlinks can be hard-linked too; each is then stored as a symlink of its own.
    ...(type === 'file' && stats.nlink > 1n ? { hardLinkKey: `${stats.dev}:${stats.ino}` } : {}),
  };
}

/** Whether a file is no longer what it was. */
export function differs(before: BigIntStats, after: BigIntStats): boolean {
  return before.size !== after.size || before.mtimeNs !== after.mtimeNs;
}
