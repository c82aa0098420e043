import { join } from 'node:path';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { backUp, makeJob, makeTenant } from '../demo/api-steps.ts';
import { type Platform, startPlatform } from '../platform/start-platform.ts';
import { whileRunning } from '../platform/while-running.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { filesInFolder, writeEmptyFiles } from './empty-files.ts';
import { workerMemoryMiB } from './process-memory.ts';
import { median, round } from './statistics.ts';

const folders = 100;
const filesInEach = 100;
const pages = 10;
const filesPage = z.object({ entries: z.array(z.object({ path: z.string() })), next_offset: z.number().nullable() });

/**
 * Lists and searches a snapshot of 1,000,000 files through the API. The worker is a fresh one, so the first page is the first that it
 * ever reads of this index, and may end early; `wholeRootSeconds` is until the root was listed to its end. The peak of its memory is that of browsing. Linux only.
 */
export async function browse({ workDir, say, signal }: BenchContext): Promise<BenchResult> {
  if (process.platform !== 'linux') throw new Error('the peak of a process is read from /proc, which only Linux has');
  const tree = join(workDir, 'tree');
  await writeEmptyFiles(tree, folders, signal);
  say(`${folders * filesInFolder} files written`);
  const platform = await startPlatform({ dataDir: join(workDir, 'data'), localRoots: [tree] });
  try {
    return await whileRunning(platform, measure(platform, tree, say, signal));
  } finally {
    await platform.stop();
  }
}

async function measure(
  platform: Platform,
  tree: string,
  say: BenchContext['say'],
  signal: AbortSignal,
): Promise<BenchResult> {
  const operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
  const { api } = await makeTenant(operator, [tree]);
  const follow = { onProgress: () => undefined, signal };
  const body = { name: 'bench', type: 'local', config: { path: tree } };
  const { jobId } = await makeJob(api, { title: tree, body, localPath: tree, allowNetworks: [] }, follow);
  const { snapshot } = await backUp(api, jobId, follow);
  say(`backed up: ${snapshot.entry_count} entries`);
  const backupPeakMiB = await workerMemoryMiB(platform, 'VmHWM');
  await platform.killWorker('SIGTERM');
  await platform.startWorker();
  // Whether the connection is still there is found out before the clock runs.
  await api.get(`/api/v1/snapshots/${snapshot.id}`, z.unknown());

  const ask = async (query: string) => {
    const startMs = performance.now();
    const page = await api.get(`/api/v1/snapshots/${snapshot.id}/files?${query}`, filesPage);
    return { ...page, seconds: (performance.now() - startMs) / 1000 };
  };
  const idleMiB = await workerMemoryMiB(platform, 'VmRSS');
  const first = await ask('limit=100');
  let wholeSeconds = first.seconds;
  let found = first.entries.length;
  for (let offset = first.next_offset; offset !== null; ) {
    const page: Awaited<ReturnType<typeof ask>> = await ask(`limit=100&offset=${offset}`);
    wholeSeconds += page.seconds;
    found += page.entries.length;
    offset = page.next_offset;
  }
  demand(found === folders, 'the root is not whole');
  const again = await ask('limit=100');
  const directory = await ask('path=folder-50/sub-50&limit=100');
  demand(directory.entries.length === filesInEach, 'a directory is not whole');
  const next: number[] = [];
  for (let offset: number | null = 0; next.length < pages && offset !== null; ) {
    const page: Awaited<ReturnType<typeof ask>> = await ask(`recursive=true&limit=1000&offset=${offset}`);
    if (offset > 0) next.push(page.seconds);
    offset = page.next_offset;
  }
  const search = await ask(`text=${encodeURIComponent('Folder-99/sub-99/file 0099')}`);
  demand(search.entries.length === 1, 'the search did not find its file');
  const bySize = await ask('min_size_bytes=1');
  const byName = await ask(`glob=${encodeURIComponent('folder-9?/**/*77.dat')}`);
  demand(byName.entries.length > 0, 'the pattern did not find its files');
  const figures = {
    entries: snapshot.entry_count,
    firstPageSeconds: first.seconds,
    firstPageEntries: first.entries.length,
    wholeRootSeconds: wholeSeconds,
    samePageSeconds: again.seconds,
    directorySeconds: directory.seconds,
    nextPageSeconds: median(next),
    searchSeconds: search.seconds,
    searchBySizeSeconds: bySize.seconds,
    searchByPatternSeconds: byName.seconds,
    idleRssMiB: idleMiB,
    backupPeakRssMiB: backupPeakMiB,
    peakRssMiB: await workerMemoryMiB(platform, 'VmHWM'),
  };
  const rounded = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, round(value)]));
  return { bench: 'browse', ratios: {}, figures: rounded };
}

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
