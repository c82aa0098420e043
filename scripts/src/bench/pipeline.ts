import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { findProgram } from '@xvault/shared/testing/find-program.ts';
import { startBackupRunner } from './backup-runner.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { timeShell } from './commands.ts';
import { median, round } from './statistics.ts';
import { growTree } from './trees.ts';

const rounds = 5;
const goal = { files: 15_000, bytes: 2 ** 30 };

/**
 * A backup through the whole platform against `tar | zstd | age` and against restic's first backup: the same tree, the
 * same disk, the page cache warm for all, in turns, medians.
 */
export async function pipeline({ workDir, say, signal }: BenchContext): Promise<BenchResult> {
  const tree = join(workDir, 'tree');
  say('copying real files');
  const size = await growTree(tree, goal);
  say(`${size.files} files, ${round(size.bytes / 2 ** 20, 0)} MiB`);
  const { recipient } = await generateKeyPair();
  const restic = findProgram(['restic']);
  const times = { xvault: [] as number[], pipe: [] as number[], restic: [] as number[] };
  let storedBytes = 0;
  const runner = await startBackupRunner(join(workDir, 'data'), tree, signal);
  try {
    for (let round_ = 0; round_ <= rounds && !signal.aborted; round_ += 1) {
      const ours = await runner.run();
      storedBytes = ours.snapshot.stored_bytes;
      const pipe = await timePipe(tree, recipient, workDir);
      // The first round fills the caches and is not counted.
      if (round_ === 0) continue;
      times.xvault.push(ours.seconds);
      times.pipe.push(pipe);
      if (restic !== undefined) times.restic.push(await timeRestic(restic, tree, workDir));
      say(
        `round ${round_}: xvault ${ours.seconds.toFixed(2)} s, pipe ${pipe.toFixed(2)} s, restic ${times.restic.at(-1)?.toFixed(2) ?? '-'} s`,
      );
    }
  } finally {
    await runner.stop();
  }
  const ours = median(times.xvault);
  const speed = (seconds: number) => round(size.bytes / 1e6 / seconds, 1);
  const theirs = restic === undefined ? {} : { restic: median(times.restic) };
  return {
    bench: 'pipeline',
    ratios: {
      pipe: round(median(times.pipe) / ours),
      ...(theirs.restic === undefined ? {} : { restic: round(theirs.restic / ours) }),
    },
    figures: {
      xvaultMBps: speed(ours),
      pipeMBps: speed(median(times.pipe)),
      ...(theirs.restic === undefined ? {} : { resticMBps: speed(theirs.restic) }),
      files: size.files,
      bytes: size.bytes,
      storedRatio: round(storedBytes / size.bytes),
    },
  };
}

async function timePipe(tree: string, recipient: string, workDir: string): Promise<number> {
  const file = join(workDir, 'pipe.tar.zst.age');
  const script = 'tar -cf - -C "$1" . | zstd -3 -T0 -q | age -r "$2" > "$3"';
  const seconds = await timeShell(script, [tree, recipient, file]);
  await rm(file);
  return seconds;
}

async function timeRestic(restic: string, tree: string, workDir: string): Promise<number> {
  const folder = join(workDir, 'restic');
  const env = {
    RESTIC_REPOSITORY: join(folder, 'repo'),
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: join(folder, 'cache'),
  };
  await timeShell('"$1" init -q', [restic], env);
  const seconds = await timeShell('"$1" backup -q "$2"', [restic, tree], env);
  await rm(folder, { recursive: true });
  return seconds;
}
