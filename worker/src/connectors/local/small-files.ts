import type { ReadResult, SourceEntry } from '../connector.ts';
import { isSkipped } from '../connector.ts';
import type { FileThread } from './file-thread.ts';
import { RecordReader, RecordWriter } from './record-codec.ts';
import type { ReadReply } from './thread-protocol.ts';

/** Bytes that the contents of these files take, each at most `limitBytes`. */
export function roomFor(entries: readonly SourceEntry[], limitBytes: number): number {
  return entries.reduce((sum, { sizeBytes }) => sum + Math.min(sizeBytes, limitBytes), 0);
}

/** Reads whole small files in a thread, into a room of at least {@link roomFor} bytes; results in the order of `entries`. */
export async function readSmallFiles(
  thread: FileThread,
  entries: readonly SourceEntry[],
  room: SharedArrayBuffer,
  limitBytes: number,
): Promise<ReadResult[]> {
  const paths = new RecordWriter(entries.length * 256);
  for (const { path, sizeBytes } of entries) {
    paths.u32(Math.min(sizeBytes, limitBytes));
    paths.bytes(path);
  }
  const reply = await thread.read({ count: entries.length, room, paths: paths.finish(), limitBytes });
  return decode(reply, room, entries.length);
}

function decode({ records, grown }: ReadReply, room: SharedArrayBuffer, count: number): ReadResult[] {
  const reader = new RecordReader(records);
  const results: ReadResult[] = [];
  for (let at = 0; at < count; at += 1) {
    const ok = reader.u8() === 1;
    const item = reader.item();
    if (isSkipped(item)) {
      results.push({ ok: false, skipped: item });
      continue;
    }
    if (!ok) throw new TypeError('a result that is neither a file nor a reason');
    const changed = reader.u8() === 1;
    const sha256 = reader.bytes();
    const grownAt = reader.u32();
    const buffer = grownAt === 0 ? room : grown[grownAt - 1];
    if (buffer === undefined) throw new TypeError('a result that names a buffer that is not there');
    const data = Buffer.from(buffer as ArrayBuffer, reader.u32(), item.sizeBytes);
    results.push({ ok: true, entry: item, data, sha256, changed });
  }
  return results;
}
