import type { SourceEntry } from '../connector.ts';

/** What is not an answer of find as far as it can be read. */
export class BadFind extends Error {
  override readonly name = 'BadFind';
}

/** One thing as find saw it. */
export interface FoundItem {
  /** 0 for what was asked for, 1 for what is in it. */
  readonly depth: number;
  readonly type: SourceEntry['type'] | 'other';
  readonly device: string;
  /** Device and inode: the same for all names of one file. */
  readonly identity: string;
  readonly linkCount: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  /** The last part of its path. */
  readonly name: Buffer;
  /** Of a symlink; empty for all else. */
  readonly linkTarget: Buffer;
}

const types: Record<string, FoundItem['type']> = { f: 'file', d: 'directory', l: 'symlink' };
const fields = /^([01]) ([a-zA-Z?]) (\d+) (\d+) (\d+) ([0-7]{1,4}) (\d+) (\d+) (\d+) (-?)(\d{1,18})\.(\d{9})\d* $/;
const slash = 0x2f;
const space = 0x20;
const fieldCount = 10;

/** A record as find-command.ts has find write it, without the NUL. Throws BadFind. */
export function parseFound(record: Buffer): FoundItem {
  let nameAt = 0;
  for (let field = 0; field < fieldCount; field += 1) {
    nameAt = record.indexOf(space, nameAt) + 1;
    if (nameAt === 0) throw new BadFind('a record with too few fields');
  }
  const match = fields.exec(record.toString('latin1', 0, nameAt));
  const nameEnd = record.indexOf(slash, nameAt);
  if (!match || nameEnd <= nameAt) throw new BadFind('a record that is none');
  const [, depth, type = '', device = '', inode, links, mode = '', uid, gid, size, sign, seconds = '', decimals = ''] =
    match;
  const sizeBytes = Number(size);
  if (!Number.isSafeInteger(sizeBytes)) throw new BadFind('an impossible size');
  // Before 1970 find writes whole seconds rounded down, and then what is to be added to them.
  const whole = BigInt(seconds) * nsPerSecond;
  return {
    depth: Number(depth),
    type: types[type] ?? 'other',
    device,
    identity: `${device}:${inode}`,
    linkCount: Number(links),
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
    sizeBytes,
    mtimeNs: (sign === '-' ? -whole : whole) + BigInt(decimals),
    name: Buffer.from(record.subarray(nameAt, nameEnd)),
    linkTarget: Buffer.from(record.subarray(nameEnd + 1)),
  };
}

const nsPerSecond = 1_000_000_000n;

/** Whole seconds, rounded down also before 1970. */
export function secondsOf(mtimeNs: bigint): bigint {
  const rest = ((mtimeNs % nsPerSecond) + nsPerSecond) % nsPerSecond;
  return (mtimeNs - rest) / nsPerSecond;
}

/** Null for what is no file, directory or symlink. */
export function entryOfFound(path: Buffer, item: FoundItem): SourceEntry | null {
  const { type, sizeBytes, mode, uid, gid, mtimeNs, linkTarget } = item;
  if (type === 'other') return null;
  return {
    path,
    type,
    sizeBytes: type === 'file' ? sizeBytes : 0,
    mode,
    uid,
    gid,
    mtimeNs,
    ...(type === 'symlink' && { linkTarget }),
    ...(type === 'file' && item.linkCount > 1 && { hardLinkKey: item.identity }),
  };
}
