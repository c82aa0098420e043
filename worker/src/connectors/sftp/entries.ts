import type { SkippedItem, SourceEntry } from '../connector.ts';
import type { Attrs, NamedItem } from './packets.ts';

export type RemoteType = SourceEntry['type'] | 'other' | 'unknown';

const typeBits = 0o170000;
const typesByBits = new Map<number, RemoteType>([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'symlink'],
  [0, 'unknown'],
]);
const typesByLetter: Record<string, RemoteType> = { '-': 'file', d: 'directory', l: 'symlink' };

export function typeOf(attrs: Attrs): RemoteType {
  return attrs.permissions === undefined ? 'unknown' : (typesByBits.get(attrs.permissions & typeBits) ?? 'other');
}

/** Of a listed name: servers that leave the type out of the permissions still write it at the front of the long name. */
export function typeOfListed(item: NamedItem): RemoteType {
  const type = typeOf(item.attrs);
  return type === 'unknown' ? (typesByLetter[item.longName.toString('latin1', 0, 1)] ?? 'unknown') : type;
}

export function toEntry(path: Buffer, type: SourceEntry['type'], attrs: Attrs, linkTarget?: Buffer): SourceEntry {
  return {
    path,
    type,
    sizeBytes: type === 'file' ? (attrs.sizeBytes ?? 0) : 0,
    mode: (attrs.permissions ?? (type === 'directory' ? 0o755 : 0o644)) & 0o7777,
    uid: attrs.uid,
    gid: attrs.gid,
    mtimeNs: attrs.mtimeNs,
    ...(linkTarget === undefined ? {} : { linkTarget }),
  };
}

export function skip(path: Buffer, skipped: SkippedItem['skipped'], detail: string): SkippedItem {
  return { path, skipped, detail };
}

const slash = Buffer.from('/');

/** `base/name`; below the root `.` of a listing the name alone. */
export function joinPath(base: Buffer, name: Buffer): Buffer {
  if (base.length === 1 && base[0] === 0x2e) return name;
  return base.length === 1 && base[0] === 0x2f ? Buffer.concat([slash, name]) : Buffer.concat([base, slash, name]);
}
