import { hash } from 'node:crypto';
import { closeSync, fstatSync, readSync } from 'node:fs';
import type { ReadResult, SkippedItem } from '../connector.ts';
import { isSkipped } from '../connector.ts';
import { skippedBy } from './item-errors.ts';
import type { FileOpener } from './open-file.ts';
import { differs, toEntry } from './stat-entry.ts';

/**
 * One whole file into `room`, or into a buffer of its own when it has outgrown that since it was listed; at most
 * `limitBytes` of it. Synchronous, for a thread of its own.
 */
export function readSmall(opener: FileOpener, path: Buffer, room: Buffer, limitBytes: number): ReadResult {
  const opened = opener.open(path);
  if (isSkipped(opened)) return { ok: false, skipped: opened };
  const { fd, stats } = opened;
  try {
    const wanted = Math.min(Number(stats.size), limitBytes);
    const target = wanted <= room.length ? room : Buffer.from(new ArrayBuffer(wanted));
    let have = 0;
    while (have < wanted) {
      const got = readSync(fd, target, have, wanted - have, have);
      if (got === 0) break;
      have += got;
    }
    const data = target.subarray(0, have);
    const changed = BigInt(have) !== stats.size || differs(stats, fstatSync(fd, { bigint: true }));
    const entry = { ...toEntry(path, 'file', stats), sizeBytes: have };
    return { ok: true, entry, data, sha256: hash('sha256', data, 'buffer'), changed };
  } catch (error) {
    const skipped: SkippedItem = skippedBy(error, path);
    return { ok: false, skipped };
  } finally {
    closeSync(fd);
  }
}
