import { native } from '../native/binding.ts';
import { RecordWriter } from '../native/records.ts';
import type { EntryType, Xattrs } from './entry.ts';

/** One member of a tar stream, without its content. */
export interface TarMember {
  /** Relative; raw bytes. */
  readonly path: Buffer;
  readonly type: EntryType;
  /** Of the content that follows; 0 for all but regular files. */
  readonly sizeBytes: number;
  /** Set for a file with holes in GNU's format 1.0: bytes of map and data that follow. `sizeBytes` is its real size then. */
  readonly sparseBytes?: number | null;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly linkTarget: Buffer | null;
  readonly xattrs?: Xattrs;
}

const noBytes = Buffer.alloc(0);
export const tarBlockBytes = 512;
/** What closes a tar stream: two blocks of zeros. */
export const tarEndBytes = 2 * tarBlockBytes;

/** Zeros that follow content of this size, up to the next full block. */
export function tarPaddingBytes(sizeBytes: number): number {
  return (tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes;
}

/** The blocks before a member's content: a pax header where ustar alone would lose something, then the ustar header. */
export function encodeTarHeader(member: TarMember): Buffer {
  const record = new RecordWriter(member.path.length + (member.linkTarget?.length ?? 0) + 64);
  record.item(member);
  return native.encodeTarHeader(record.finish(), member.sparseBytes ?? -1, member.xattrs?.packed ?? noBytes);
}
