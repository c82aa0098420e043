import { randomBytes } from 'node:crypto';
import type { ReadResult, SourceEntry, SourceSession } from '../../../worker/src/connectors/connector.ts';

const fileBytes = 1024 * 1024;
/** Content repeats only after so much, which is further than a compressor looks back. */
const noise = randomBytes(64 * 1024 * 1024 + 1);
const wantedBytes = 10_000;

export const wantedPath = 'wanted';
export const wantedContent = noise.subarray(1000, 1000 + wantedBytes);

/** A source of incompressible files of 1 MiB, made as they are read, with one of 10 KB in the middle of them. */
export function noiseSession(totalBytes: number): SourceSession {
  const count = Math.ceil(totalBytes / fileBytes);
  const nameOf = (at: number) => `file-${String(at).padStart(6, '0')}`;
  return {
    smallFileBytes: fileBytes,
    batchesInFlight: 2,
    async *list() {
      yield entry('.', 'directory', 0);
      for (let at = 0; at < count; at += 1) {
        yield entry(nameOf(at), 'file', fileBytes);
        if (at === Math.floor(count / 2)) yield entry(wantedPath, 'file', wantedBytes);
      }
    },
    async readMany(entries): Promise<ReadResult[]> {
      return entries.map((each) => ({ ok: true, entry: each, data: contentOf(each), changed: false }));
    },
    open: async ({ path }) => ({ path, skipped: 'ITEM_UNREADABLE', detail: 'no file is large' }),
    measure: async () => ({ fileCount: count + 1, totalBytes: count * fileBytes + wantedBytes }),
    close: async () => undefined,
  };
}

function contentOf({ path }: SourceEntry): Buffer {
  const name = path.toString();
  if (name === wantedPath) return wantedContent;
  const offset = (Number(name.slice(-6)) * fileBytes) % (noise.length - fileBytes);
  return noise.subarray(offset, offset + fileBytes);
}

function entry(path: string, type: 'file' | 'directory', sizeBytes: number): SourceEntry {
  const mode = type === 'file' ? 0o644 : 0o755;
  return { path: Buffer.from(path), type, sizeBytes, mode, uid: 0, gid: 0, mtimeNs: 1_700_000_000_000_000_000n };
}
