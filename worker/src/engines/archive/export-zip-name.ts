import { isUtf8 } from 'node:buffer';

/**
 * A name for a zip: UTF-8 as it is. The bytes that a zip cannot carry unharmed, namely those that are not UTF-8 and the backslash (which
 * unpackers take for a slash), are written `%HH`; a `%` before two hex digits becomes `%25`, so that no two names meet.
 */
export function zipName(path: Buffer): string {
  let text = '';
  let at = 0;
  while (at < path.length) {
    const length = utf8LengthAt(path, at);
    text += length === 0 ? percent(path[at] ?? 0) : path.toString('utf8', at, at + length);
    at += Math.max(length, 1);
  }
  return guardDrive(text);
}

/** The target of a symlink: as it is where it is UTF-8, else as {@link zipName}. */
export function zipLinkTarget(target: Buffer): string {
  return isUtf8(target) ? target.toString('utf8') : zipName(target);
}

/** Archiver drops what looks like a drive (`c:`) from the beginning of a name. */
function guardDrive(name: string): string {
  return /^\w+:/.test(name) ? `./${name}` : name;
}

function percent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** Bytes that may stand as they are; 0 where the one at `offset` may not. */
function utf8LengthAt(bytes: Buffer, offset: number): number {
  const first = bytes[offset];
  if (first === 0x5c) return 0;
  if (first === 0x25 && /^[0-9A-Fa-f]{2}$/.test(bytes.toString('latin1', offset + 1, offset + 3))) return 0;
  for (let length = 1; length <= 4 && offset + length <= bytes.length; length += 1) {
    if (isUtf8(bytes.subarray(offset, offset + length))) return length;
  }
  return 0;
}
