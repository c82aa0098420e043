/** What is not a tar archive as far as it can be read. */
export class BadTar extends Error {
  override readonly name = 'BadTar';
}

export const blockBytes = 512;

/** What a header block says. */
export interface RawHeader {
  readonly name: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly type: string;
  readonly linkName: Buffer;
}

/** Throws BadTar; undefined for a block of zeros. */
export function parseHeader(block: Buffer): RawHeader | undefined {
  const sum = number(block, 148, 8);
  if (sum === 0 && block.every((byte) => byte === 0)) return undefined;
  let unsigned = 8 * 0x20;
  for (let at = 0; at < blockBytes; at += 1) if (at < 148 || at >= 156) unsigned += block[at] ?? 0;
  if (unsigned !== sum) throw new BadTar('a header with a wrong checksum');
  const magic = block.toString('latin1', 257, 263);
  const name = text(block, 0, 100);
  // Only POSIX's own form has a prefix; GNU's keeps other things there.
  const prefix = magic === 'ustar\0' ? text(block, 345, 155) : Buffer.alloc(0);
  return {
    name: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]),
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: size(number(block, 124, 12)),
    mtimeSeconds: number(block, 136, 12),
    type: String.fromCharCode(block[156] ?? 0),
    linkName: text(block, 157, 100),
  };
}

export function size(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new BadTar('an impossible size');
  return value;
}

function text(block: Buffer, from: number, length: number): Buffer {
  const field = block.subarray(from, from + length);
  const end = field.indexOf(0);
  return Buffer.from(end === -1 ? field : field.subarray(0, end));
}

/** Octal digits, or, with the first bit set, a signed binary number. */
function number(block: Buffer, from: number, length: number): number {
  const first = block[from] ?? 0;
  if (first & 0x80) {
    const negative = (first & 0x40) !== 0;
    let value = BigInt(negative ? first | ~0xff : first & 0x7f);
    for (let at = from + 1; at < from + length; at += 1) value = (value << 8n) | BigInt(block[at] ?? 0);
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) {
      throw new BadTar('a number out of range');
    }
    return Number(value);
  }
  const digits = block
    .toString('latin1', from, from + length)
    .replace(/^ +/, '')
    .replace(/[ \0].*$/s, '');
  if (!/^[0-7]*$/.test(digits)) throw new BadTar('a number that is none');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** Records `length key=value\n` of an extended header. Throws BadTar. */
export function parsePax(data: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const digits = space === -1 ? '' : data.toString('latin1', at, space);
    const length = /^[1-9]\d{0,8}$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    const equals = data.indexOf(0x3d, space);
    if (end > data.length || equals === -1 || equals >= end || equals < space || data[end - 1] !== 0x0a) {
      throw new BadTar('a malformed extended header');
    }
    records.set(data.toString('utf8', space + 1, equals), Buffer.from(data.subarray(equals + 1, end - 1)));
    at = end;
  }
  return records;
}

/** Seconds with any number of decimals, as nanoseconds. Throws BadTar. */
export function parsePaxTime(value: Buffer): bigint {
  const match = /^(-?)(\d{1,18})(?:\.(\d*))?$/.exec(value.toString('latin1'));
  if (!match) throw new BadTar('a time that is none');
  const [, sign, seconds = '0', decimals = ''] = match;
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(decimals.slice(0, 9).padEnd(9, '0'));
  return sign === '-' ? -ns : ns;
}
