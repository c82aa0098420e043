import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileEntry } from '@xvault/shared/run-kinds.ts';
import { z } from 'zod';
import type { ApiClient } from '../api/client.ts';

const filesPage = z.object({ entries: z.array(fileEntry), next_offset: z.number().nullable() });

/**
 * For trees that are not on this machine: compares a restored tree with the snapshot's list of files, by size and
 * SHA-256 of what was pulled. Names that are not plain text are counted as entries only.
 */
export async function compareWithIndex(api: ApiClient, snapshotId: string, restored: string) {
  const differences: string[] = [];
  const counts = { files: 0, bytes: 0, entries: 0, leftOut: 0 };
  for (let offset: number | null = 0; offset !== null; ) {
    const query = new URLSearchParams({ recursive: 'true', offset: String(offset), limit: '1000' });
    const page: z.infer<typeof filesPage> = await api.get(`/api/v1/snapshots/${snapshotId}/files?${query}`, filesPage);
    for (const entry of page.entries) {
      counts.entries += 1;
      if (entry.type !== 'file' || entry.path.includes('\\')) continue;
      counts.files += 1;
      counts.bytes += entry.size_bytes;
      const found = await hashOf(join(restored, entry.path));
      if (found === undefined) differences.push(`${JSON.stringify(entry.path)} is missing`);
      else if (found !== entry.sha256) differences.push(`${JSON.stringify(entry.path)} has other contents`);
    }
    offset = page.next_offset;
  }
  return { ...counts, differences: differences.slice(0, 20) };
}

async function hashOf(file: string): Promise<string | undefined> {
  const stats = await lstat(file).catch(() => undefined);
  if (stats?.isFile() !== true) return undefined;
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
