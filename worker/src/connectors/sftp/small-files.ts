import type { ReadResult, SourceEntry } from '../connector.ts';
import { skip, toEntry, typeOf } from './entries.ts';
import { fstat, openFile, readRange } from './operations.ts';
import type { Attrs } from './packets.ts';
import { itemCodeOf, SftpStatusError } from './status.ts';
import { readBytes, type SftpWire } from './wire.ts';

/** One whole small file: two round trips, its reads in flight together. */
export async function readSmallFile(
  wire: SftpWire,
  remote: Buffer,
  listed: SourceEntry,
  limitBytes: number,
  signal: AbortSignal,
): Promise<ReadResult> {
  try {
    const handle = await openFile(wire, remote, signal);
    try {
      return await readOpened(wire, handle, listed, limitBytes, signal);
    } finally {
      wire.release(handle);
    }
  } catch (error) {
    if (!(error instanceof SftpStatusError)) throw error;
    return { ok: false, skipped: skip(listed.path, itemCodeOf(error, remote), error.message) };
  }
}

async function readOpened(
  wire: SftpWire,
  handle: Buffer,
  listed: SourceEntry,
  limitBytes: number,
  signal: AbortSignal,
): Promise<ReadResult> {
  const expected = Math.min(listed.sizeBytes, limitBytes);
  const first = await readBetweenStats(wire, handle, 0, expected, signal);
  const { before } = first;
  if (typeOf(before) !== 'file' && typeOf(before) !== 'unknown') {
    return { ok: false, skipped: skip(listed.path, 'ITEM_VANISHED', 'something else has taken its name') };
  }
  let { data, after } = first;
  const sizeBytes = before.sizeBytes ?? expected;
  // It grew after it was listed: the rest belongs to it, as far as it is still a small file.
  if (sizeBytes > expected && data.length === expected && expected < limitBytes) {
    const rest = await readBetweenStats(wire, handle, expected, Math.min(sizeBytes, limitBytes), signal);
    data = Buffer.concat([data, rest.data]);
    after = rest.after;
  }
  data = data.subarray(0, sizeBytes);
  const changed = data.length !== sizeBytes || after.sizeBytes !== before.sizeBytes || after.mtimeNs !== before.mtimeNs;
  const entry = { ...toEntry(listed.path, 'file', before), sizeBytes: data.length };
  return { ok: true, entry, data, changed };
}

/** One round trip: servers answer in order, so the second FSTAT tells of changes while the reads went on. */
async function readBetweenStats(
  wire: SftpWire,
  handle: Buffer,
  from: number,
  to: number,
  signal: AbortSignal,
): Promise<{ before: Attrs; data: Buffer; after: Attrs }> {
  const list = ranges(from, to);
  const before = fstat(wire, handle, signal);
  const reading = Promise.all(list.map(([offset, length]) => readRange(wire, handle, offset, length, signal)));
  const after = fstat(wire, handle, signal);
  const [first, parts, last] = await Promise.all([before, reading, after]);
  // What follows a short part would stand at the wrong place.
  const short = parts.findIndex((part, at) => part.length < (list[at]?.[1] ?? 0));
  return { before: first, data: joinParts(short === -1 ? parts : parts.slice(0, short + 1)), after: last };
}

/** `[offset, length]` of the reads that cover `from` to `to`. */
function ranges(from: number, to: number): [number, number][] {
  const list: [number, number][] = [];
  for (let offset = from; offset < to; offset += readBytes) list.push([offset, Math.min(readBytes, to - offset)]);
  return list;
}

function joinParts(parts: readonly Buffer[]): Buffer {
  const [first = Buffer.alloc(0)] = parts;
  return parts.length === 1 ? first : Buffer.concat(parts);
}
