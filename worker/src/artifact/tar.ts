import { isUtf8 } from 'node:buffer';
import type { EntryType } from './entry.ts';
import { decimalSeconds } from './mtime.ts';

/** One member of a tar stream, without its content. */
export interface TarMember {
  /** Relative; raw bytes. */
  readonly path: Buffer;
  readonly type: EntryType;
  /** Of the content that follows; 0 for all but regular files. */
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly linkTarget: Buffer | null;
}

export const tarBlockBytes = 512;
/** What closes a tar stream: two blocks of zeros. */
export const tarEndBytes = 2 * tarBlockBytes;

const nameFieldBytes = 100;
const maxOctal7 = 0o7777777;
const maxOctal11 = 0o77777777777;
const typeFlags: Record<EntryType, string> = { file: '0', hardlink: '1', symlink: '2', directory: '5' };
const paxFlag = 'x';
/** Only seen by readers that do not know pax. */
const paxName = Buffer.from('PaxHeaders/entry');
const slash = Buffer.from('/');

/** Zeros that follow content of this size, up to the next full block. */
export function tarPaddingBytes(sizeBytes: number): number {
  return (tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes;
}

/** The blocks before a member's content: a pax header where ustar alone would lose something, then the ustar header. */
export function encodeTarHeader(member: TarMember): Buffer {
  const path = member.type === 'directory' ? Buffer.concat([member.path, slash]) : member.path;
  const records = paxRecords(member, path);
  const paxBytes = records.length === 0 ? 0 : tarBlockBytes + records.length + tarPaddingBytes(records.length);
  const out = Buffer.alloc(paxBytes + tarBlockBytes);
  if (paxBytes > 0) {
    const paxFields = { mode: 0o644, uid: 0, gid: 0, seconds: 0, sizeBytes: records.length };
    writeUstar(out.subarray(0, tarBlockBytes), paxName, paxFlag, paxFields, null);
    records.copy(out, tarBlockBytes);
  }
  const seconds = Number(member.mtimeNs / 1_000_000_000n);
  const fields = { mode: member.mode, uid: member.uid, gid: member.gid, seconds, sizeBytes: member.sizeBytes };
  writeUstar(out.subarray(paxBytes), path, typeFlags[member.type], fields, member.linkTarget);
  return out;
}

function paxRecords(member: TarMember, path: Buffer): Buffer {
  const records: Buffer[] = [];
  const longPath = path.length > nameFieldBytes ? path : null;
  const longLink = member.linkTarget !== null && member.linkTarget.length > nameFieldBytes ? member.linkTarget : null;
  // The one way pax has to say that a value is bytes; it must come before the names.
  const binary = (longPath !== null && !isUtf8(longPath)) || (longLink !== null && !isUtf8(longLink));
  if (binary) records.push(paxRecord('hdrcharset', Buffer.from('BINARY')));
  if (longPath !== null) records.push(paxRecord('path', longPath));
  if (longLink !== null) records.push(paxRecord('linkpath', longLink));
  if (member.sizeBytes > maxOctal11) records.push(paxRecord('size', Buffer.from(String(member.sizeBytes))));
  if (member.uid > maxOctal7) records.push(paxRecord('uid', Buffer.from(String(member.uid))));
  if (member.gid > maxOctal7) records.push(paxRecord('gid', Buffer.from(String(member.gid))));
  if (!fitsOctalSeconds(member.mtimeNs)) {
    records.push(paxRecord('mtime', Buffer.from(decimalSeconds(member.mtimeNs))));
  }
  return records.length === 1 && records[0] !== undefined ? records[0] : Buffer.concat(records);
}

function fitsOctalSeconds(mtimeNs: bigint): boolean {
  return mtimeNs >= 0n && mtimeNs % 1_000_000_000n === 0n && mtimeNs / 1_000_000_000n <= BigInt(maxOctal11);
}

/** `<length> <key>=<value>\n`, where length counts itself. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}

interface UstarFields {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly seconds: number;
  readonly sizeBytes: number;
}

/** Values that do not fit are clamped here; a pax record before them holds the exact one. */
function writeUstar(block: Buffer, path: Buffer, flag: string, fields: UstarFields, linkTarget: Buffer | null): void {
  path.copy(block, 0, 0, nameFieldBytes);
  writeOctal(block, 100, 7, fields.mode);
  writeOctal(block, 108, 7, Math.min(fields.uid, maxOctal7));
  writeOctal(block, 116, 7, Math.min(fields.gid, maxOctal7));
  writeOctal(block, 124, 11, fields.sizeBytes > maxOctal11 ? 0 : fields.sizeBytes);
  writeOctal(block, 136, 11, Math.min(Math.max(fields.seconds, 0), maxOctal11));
  block.fill(0x20, 148, 156);
  block.write(flag, 156, 'latin1');
  linkTarget?.copy(block, 157, 0, nameFieldBytes);
  block.write('ustar\x0000', 257, 'latin1');
  writeOctal(block, 329, 7, 0);
  writeOctal(block, 337, 7, 0);
  let sum = 0;
  for (const byte of block) sum += byte;
  writeOctal(block, 148, 6, sum);
  block[154] = 0;
}

function writeOctal(block: Buffer, offset: number, digits: number, value: number): void {
  block.write(value.toString(8).padStart(digits, '0'), offset, 'latin1');
}
