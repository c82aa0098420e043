import { hash } from 'node:crypto';
import type { FileStream, ReadResult, SkippedItem } from '../connector.ts';
import { isSkipped } from '../connector.ts';

/** One file that was opened, at most `limitBytes` of it: for the few that are not read into a frame at once. Closes it. */
export async function readWhole(opened: FileStream | SkippedItem, limitBytes: number): Promise<ReadResult> {
  if (isSkipped(opened)) return { ok: false, skipped: opened };
  try {
    const pieces: Buffer[] = [];
    let left = limitBytes;
    for await (const chunk of opened.chunks) {
      // The chunk is filled anew when the next one is asked for.
      pieces.push(Buffer.from(chunk.subarray(0, left)));
      left -= Math.min(left, chunk.length);
      if (left === 0) break;
    }
    const data = Buffer.concat(pieces);
    const changed = data.length !== opened.entry.sizeBytes || (await opened.changed());
    const entry = { ...opened.entry, sizeBytes: data.length };
    const { remark } = opened;
    return { ok: true, entry, data, sha256: hash('sha256', data, 'buffer'), changed, ...(remark && { remark }) };
  } finally {
    await opened.close();
  }
}
