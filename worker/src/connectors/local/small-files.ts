import type { ReadResult, SourceEntry } from '../connector.ts';
import { isSkipped } from '../connector.ts';
import type { FileThread } from './file-thread.ts';
import { RecordReader, RecordWriter } from './record-codec.ts';
import type { ReadReply } from './thread-protocol.ts';

/** Reads whole small files in a thread; results in the order of `entries`. */
export async function readSmallFiles(
  thread: FileThread,
  entries: readonly SourceEntry[],
  limitBytes: number,
): Promise<ReadResult[]> {
  const paths = new RecordWriter(entries.length * 256);
  let totalBytes = 0;
  for (const { path, sizeBytes } of entries) {
    const room = Math.min(sizeBytes, limitBytes);
    paths.u32(room);
    paths.bytes(path);
    totalBytes += room;
  }
  const reply = await thread.read({ count: entries.length, totalBytes, paths: paths.finish(), limitBytes });
  return decode(reply, entries.length);
}

function decode({ records, buffers }: ReadReply, count: number): ReadResult[] {
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
    const buffer = buffers[reader.u32()] ?? new ArrayBuffer(0);
    const data = Buffer.from(buffer, reader.u32(), item.sizeBytes);
    results.push({ ok: true, entry: item, data, sha256, changed });
  }
  return results;
}
