import { randomFillSync } from 'node:crypto';
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startBackupRunner } from './backup-runner.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { browse } from './browse.ts';
import { demandDisk } from './disk.ts';
import { writeEmptyFiles } from './empty-files.ts';
import { workerMemoryMiB } from './process-memory.ts';
import { round } from './statistics.ts';

const gibibyte = 2 ** 30;
const defaultGib = 20;
/** What the larger one is compared with. */
const smallGib = 1;
/** Of 10,000 files each: what 1,000,000 are compared with. With the fewest the buffers that all runs share are hardly filled. */
const fewFolders = 1;
const someFolders = 10;
/** Half of the tree's bytes are random, and so the backup of it is about half as large. */
const diskPerByte = 1.6;
/** What is called flat grows by less, though it is 20 times the bytes or 10 times the entries: as much as two runs of the same differ. */
const flatPct = 15;

/**
 * Peak memory of the worker's process, each time a fresh one: while it backs up a little and while it backs up much, and for
 * 10,000, 100,000 and 1,000,000 entries while it writes their index, and while it lists and searches the largest one. Linux only.
 */
export async function memory(context: BenchContext): Promise<BenchResult> {
  const { workDir, say, signal, gib = defaultGib } = context;
  if (process.platform !== 'linux') throw new Error('the peak of a process is read from /proc, which only Linux has');
  await demandDisk(gib * gibibyte * diskPerByte);
  const bytes = (total: number) => (tree: string) => writeTree(tree, total, signal);
  const small = await peakRssMiB(join(workDir, 'small'), bytes(smallGib * gibibyte), signal);
  say(`${smallGib} GiB: peak ${small} MiB`);
  const large = await peakRssMiB(join(workDir, 'large'), bytes(gib * gibibyte), signal);
  say(`${gib} GiB: peak ${large} MiB, ${verdict(small, large)}`);
  const empty = (folders: number) => (tree: string) => writeEmptyFiles(tree, folders, signal);
  const few = await peakRssMiB(join(workDir, 'few'), empty(fewFolders), signal);
  say(`10,000 files: peak ${few} MiB`);
  const some = await peakRssMiB(join(workDir, 'some'), empty(someFolders), signal);
  say(`100,000 files: peak ${some} MiB`);
  const { figures } = await browse({ ...context, workDir: join(workDir, 'entries') });
  const { backupPeakRssMiB: writing = Number.NaN, peakRssMiB: browsing = Number.NaN, entries = 0 } = figures;
  say(`${entries} entries: peak ${writing} MiB writing, ${verdict(some, writing)}; ${browsing} MiB browsing`);
  return {
    bench: 'memory',
    ratios: {},
    figures: {
      gib,
      peakRssMiB: Math.max(small, large, few, some, writing, browsing),
      peakRssMiBSmall: small,
      peakRssMiBLarge: large,
      growthPct: growthPct(small, large),
      entries,
      peakRssMiB1MEntries: Math.max(writing, browsing),
      peakRssMiB10kEntries: few,
      peakRssMiB100kEntries: some,
      peakRssMiBWritingIndex: writing,
      peakRssMiBBrowsing: browsing,
      entriesGrowthPct: growthPct(some, writing),
      flat: isFlat(small, large) && isFlat(some, writing) ? 1 : 0,
    },
  };
}

function growthPct(small: number, large: number): number {
  return round((large / small - 1) * 100, 1);
}

function isFlat(small: number, large: number): boolean {
  return growthPct(small, large) < flatPct;
}

function verdict(small: number, large: number): string {
  return `${isFlat(small, large) ? 'flat' : 'NOT flat'} (${growthPct(small, large)} %)`;
}

async function peakRssMiB(
  folder: string,
  write: (tree: string) => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  const tree = join(folder, 'tree');
  await write(tree);
  const runner = await startBackupRunner(join(folder, 'data'), tree, signal);
  try {
    await runner.run();
    return round(await workerMemoryMiB(runner.platform, 'VmHWM'), 1);
  } finally {
    await runner.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Half in one large file, half in files of 256 KiB; every 64 KiB half random, half zeros, so that zstd has work to do. */
async function writeTree(tree: string, bytes: number, signal: AbortSignal): Promise<void> {
  await mkdir(tree, { recursive: true });
  const block = Buffer.alloc(256 * 1024);
  const fill = () => {
    for (let at = 0; at < block.length; at += 65_536) randomFillSync(block, at, 32_768);
    return block;
  };
  const blocks = bytes / 2 / block.length;
  for (let count = 0; count < blocks; count += 1) {
    signal.throwIfAborted();
    await appendFile(join(tree, 'large'), fill());
    const folder = join(tree, `d${Math.floor(count / 100)}`);
    if (count % 100 === 0) await mkdir(folder);
    await writeFile(join(folder, `f${count}`), fill());
  }
}
