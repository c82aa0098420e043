import { RecordWriter } from '../native/records.ts';
import type { IndexEntry, Xattrs } from './entry.ts';
import { tarBlockBytes } from './tar.ts';

const keyPrefix = Buffer.from('SCHILY.xattr.');
const [space, equals, lineBreak, extended] = [0x20, 0x3d, 0x0a, 0x78];
/** More than a backup writes; what claims more is damaged. */
const mostHeaderBytes = 4 * 1024 * 1024;

/** Bytes of an entry's headers in the tar; undefined when the index cannot be right. */
export function headerBytesOf({ tarOffset, dataOffset }: IndexEntry): number | undefined {
  const bytes = dataOffset - tarOffset;
  return bytes > 0 && bytes <= mostHeaderBytes && bytes % tarBlockBytes === 0 ? bytes : undefined;
}

/**
 * The extended attributes in a member's headers, of which the first may be pax, those alone whose names `keeps` takes. undefined when
 * the headers are damaged.
 */
export function readXattrs(headers: Buffer, keeps: (name: string) => boolean = () => true): Xattrs | undefined {
  const packed = new RecordWriter(1024);
  let count = 0;
  if (headers[156] !== extended) return { packed: packed.finish(), count };
  const sizeBytes = Number.parseInt(headers.toString('latin1', 124, 135), 8);
  if (!(sizeBytes >= 0) || tarBlockBytes + sizeBytes > headers.length) return undefined;
  let rest = headers.subarray(tarBlockBytes, tarBlockBytes + sizeBytes);
  while (rest.length > 0) {
    const digits = rest.indexOf(space);
    const length = Number(rest.toString('latin1', 0, digits));
    if (digits <= 0 || !Number.isInteger(length) || length <= digits + 1 || length > rest.length) return undefined;
    const record = rest.subarray(digits + 1, length - 1);
    const split = record.indexOf(equals);
    if (rest[length - 1] !== lineBreak || split === -1) return undefined;
    rest = rest.subarray(length);
    const key = record.subarray(0, split);
    if (key.compare(keyPrefix, 0, keyPrefix.length, 0, Math.min(keyPrefix.length, key.length)) !== 0) continue;
    const name = key.toString('latin1', keyPrefix.length).replaceAll('%3D', '=').replaceAll('%25', '%');
    if (!keeps(name)) continue;
    packed.bytes(Buffer.from(name, 'latin1'));
    packed.bytes(record.subarray(split + 1));
    count += 1;
  }
  return { packed: packed.finish(), count };
}
