import { z } from 'zod';
import { RcError } from '../../engines/sync/rclone/rc-client.ts';
import { isSkipped, type SourceProbe } from '../connector.ts';
import { listRoot, type RcloneLink } from './link.ts';
import { listTree } from './session.ts';

const probedNames = 100;
const measureMs = 4_000;
const space = z.object({ total: z.number().optional(), used: z.number().optional(), free: z.number().optional() });

/** Reads the root, and counts for a few seconds. Throws SOURCE_…, CONNECTION_…. */
export async function probeLink(link: RcloneLink, signal: AbortSignal): Promise<SourceProbe> {
  const begun = performance.now();
  const root = await listRoot(link, signal);
  const latencyMs = performance.now() - begun;
  const names = root.map(({ path }) => path.replaceAll('\\', '\\\\')).sort();
  return {
    hostKey: null,
    server: null,
    entryNames: names.slice(0, probedNames),
    latencyMs,
    measure: await measureFor(link, signal),
    details: await spaceOf(link, signal),
  };
}

async function measureFor(link: RcloneLink, signal: AbortSignal): Promise<NonNullable<SourceProbe['measure']>> {
  const limit = AbortSignal.timeout(measureMs);
  const found = { fileCount: 0, totalBytes: 0, complete: false };
  try {
    for await (const item of listTree(link, { oneFileSystem: false, signal: AbortSignal.any([signal, limit]) })) {
      if (isSkipped(item) || item.type !== 'file') continue;
      found.fileCount += 1;
      found.totalBytes += item.sizeBytes;
    }
    return { ...found, complete: true };
  } catch (error) {
    if (!limit.aborted || signal.aborted) throw error;
    return found;
  }
}

/** What the account or share has room for, where it tells. */
async function spaceOf({ rc, fs }: RcloneLink, signal: AbortSignal): Promise<NonNullable<SourceProbe['details']>> {
  try {
    const { total, used, free } = space.parse(await rc.call('operations/about', { fs }, signal));
    return { total_bytes: total ?? null, used_bytes: used ?? null, free_bytes: free ?? null };
  } catch (error) {
    if (error instanceof RcError) return {};
    throw error;
  }
}
