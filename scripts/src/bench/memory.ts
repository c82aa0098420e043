import { randomFillSync } from 'node:crypto';
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startBackupRunner } from './backup-runner.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { round } from './statistics.ts';

const gib = 2 ** 30;

/** Peak memory of the worker's process while it backs up 1 GiB and 4 GiB, each with a fresh worker. Linux only. */
export async function memory({ workDir, say, signal }: BenchContext): Promise<BenchResult> {
  if (process.platform !== 'linux') throw new Error('the peak of a process is read from /proc, which only Linux has');
  const small = await peakRssMiB(join(workDir, 'small'), 1 * gib, signal);
  say(`1 GiB: peak ${small} MiB`);
  const large = await peakRssMiB(join(workDir, 'large'), 4 * gib, signal);
  say(`4 GiB: peak ${large} MiB`);
  const growthPct = round((large / small - 1) * 100, 1);
  return {
    bench: 'memory',
    ratios: {},
    figures: { peakRssMiB: Math.max(small, large), peakRssMiBOf1GiB: small, peakRssMiBOf4GiB: large, growthPct },
  };
}

async function peakRssMiB(folder: string, bytes: number, signal: AbortSignal): Promise<number> {
  const tree = join(folder, 'tree');
  await writeTree(tree, bytes);
  const runner = await startBackupRunner(join(folder, 'data'), tree, signal);
  try {
    await runner.run();
    const pid = runner.platform.worker?.pid;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const match = /^VmHWM:\s+(\d+) kB$/m.exec(status);
    if (match === null) throw new Error('the kernel does not tell the peak memory of the worker');
    return round(Number(match[1]) / 1024, 1);
  } finally {
    await runner.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Half in one large file, half in files of 256 KiB; every 64 KiB half random, half zeros, so that zstd has work to do. */
async function writeTree(tree: string, bytes: number): Promise<void> {
  await mkdir(tree, { recursive: true });
  const block = Buffer.alloc(256 * 1024);
  const fill = () => {
    for (let at = 0; at < block.length; at += 65_536) randomFillSync(block, at, 32_768);
    return block;
  };
  const blocks = bytes / 2 / block.length;
  for (let count = 0; count < blocks; count += 1) {
    await appendFile(join(tree, 'large'), fill());
    const folder = join(tree, `d${Math.floor(count / 100)}`);
    if (count % 100 === 0) await mkdir(folder);
    await writeFile(join(folder, `f${count}`), fill());
  }
}
