import { randomFillSync } from 'node:crypto';
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startBackupRunner } from './backup-runner.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { browse } from './browse.ts';
import { demandDisk } from './disk.ts';
import { workerMemoryMiB } from './process-memory.ts';
import { round } from './statistics.ts';

const gibibyte = 2 ** 30;
const defaultGib = 20;
/** What the larger one is compared with. */
const smallGib = 1;
/** Half of the tree's bytes are random, and so the backup of it is about half as large. */
const diskPerByte = 1.6;

/**
 * Peak memory of the worker's process, each time a fresh one: while it backs up a little and while it backs up much, and for
 * 1,000,000 entries while it writes their index and while it lists and searches it. Linux only.
 */
export async function memory(context: BenchContext): Promise<BenchResult> {
  const { workDir, say, signal, gib = defaultGib } = context;
  if (process.platform !== 'linux') throw new Error('the peak of a process is read from /proc, which only Linux has');
  await demandDisk(gib * gibibyte * diskPerByte);
  const small = await peakRssMiB(join(workDir, 'small'), smallGib * gibibyte, signal);
  say(`${smallGib} GiB: peak ${small} MiB`);
  const large = await peakRssMiB(join(workDir, 'large'), gib * gibibyte, signal);
  say(`${gib} GiB: peak ${large} MiB`);
  const { figures } = await browse({ ...context, workDir: join(workDir, 'entries') });
  const { backupPeakRssMiB: writing = Number.NaN, peakRssMiB: browsing = Number.NaN, entries = 0 } = figures;
  say(`${entries} entries: peak ${writing} MiB writing, ${browsing} MiB browsing`);
  return {
    bench: 'memory',
    ratios: {},
    figures: {
      gib,
      peakRssMiB: Math.max(small, large, writing, browsing),
      peakRssMiBSmall: small,
      peakRssMiBLarge: large,
      growthPct: round((large / small - 1) * 100, 1),
      entries,
      peakRssMiB1MEntries: Math.max(writing, browsing),
      peakRssMiBWritingIndex: writing,
      peakRssMiBBrowsing: browsing,
    },
  };
}

async function peakRssMiB(folder: string, bytes: number, signal: AbortSignal): Promise<number> {
  const tree = join(folder, 'tree');
  await writeTree(tree, bytes, signal);
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
