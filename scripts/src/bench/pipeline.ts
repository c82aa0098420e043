import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { findProgram } from '@xvault/shared/testing/find-program.ts';
import { startBackupRunner, type TimedBackup } from './backup-runner.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { type Timed, timeShell } from './commands.ts';
import type { CpuSplit } from './process-cpu.ts';
import { median, round } from './statistics.ts';
import { growTree, type TreeSize } from './trees.ts';

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
  const ours: TimedBackup[] = [];
  const pipes: Piped[] = [];
  const restics: Timed[] = [];
  const runner = await startBackupRunner(join(workDir, 'data'), tree, signal);
  try {
    for (let round_ = 0; round_ <= rounds && !signal.aborted; round_ += 1) {
      const backup = await runner.run();
      const pipe = await timePipe(tree, recipient, workDir);
      // The first round fills the caches and is not counted.
      if (round_ === 0) continue;
      ours.push(backup);
      pipes.push(pipe);
      if (restic !== undefined) restics.push(await timeRestic(restic, tree, workDir));
      say(
        `round ${round_}: xvault ${backup.seconds.toFixed(2)} s, pipe ${pipe.seconds.toFixed(2)} s, restic ${restics.at(-1)?.seconds.toFixed(2) ?? '-'} s`,
      );
    }
  } finally {
    await runner.stop();
  }
  return resultOf(size, ours, pipes, restics);
}

function resultOf(
  size: TreeSize,
  ours: readonly TimedBackup[],
  pipes: readonly Piped[],
  restics: readonly Timed[],
): BenchResult {
  const seconds = (timed: readonly { readonly seconds: number }[]) => median(timed.map((each) => each.seconds));
  const cpu = (timed: readonly Timed[]) => round(median(timed.map((each) => each.cpuSeconds)), 2);
  const part = (name: keyof CpuSplit) => round(median(ours.map((backup) => backup.cpu[name])), 2);
  const speed = (timed: readonly { readonly seconds: number }[]) => round(size.bytes / 1e6 / seconds(timed), 1);
  const storedBytes = ours.at(-1)?.snapshot.stored_bytes ?? 0;
  const pipeBytes = pipes.at(-1)?.storedBytes ?? 0;
  const hasRestic = restics.length > 0;
  return {
    bench: 'pipeline',
    ratios: {
      pipe: round(seconds(pipes) / seconds(ours)),
      ...(hasRestic ? { restic: round(seconds(restics) / seconds(ours)) } : {}),
    },
    figures: {
      xvaultMBps: speed(ours),
      pipeMBps: speed(pipes),
      ...(hasRestic ? { resticMBps: speed(restics) } : {}),
      files: size.files,
      bytes: size.bytes,
      storedRatio: round(storedBytes / size.bytes),
      storedToPipe: round(storedBytes / pipeBytes),
      'cpuSeconds.xvault': round(part('main') + part('native') + part('other'), 2),
      'cpuSeconds.xvaultMain': part('main'),
      'cpuSeconds.xvaultNative': part('native'),
      'cpuSeconds.xvaultOther': part('other'),
      'cpuSeconds.pipe': cpu(pipes),
      ...(hasRestic ? { 'cpuSeconds.restic': cpu(restics) } : {}),
    },
  };
}

interface Piped extends Timed {
  readonly storedBytes: number;
}

async function timePipe(tree: string, recipient: string, workDir: string): Promise<Piped> {
  const file = join(workDir, 'pipe.tar.zst.age');
  const script = 'tar -cf - -C "$1" . | zstd -3 -T0 -q | age -r "$2" > "$3"';
  const timed = await timeShell(script, [tree, recipient, file]);
  const { size: storedBytes } = await stat(file);
  await rm(file);
  return { ...timed, storedBytes };
}

async function timeRestic(restic: string, tree: string, workDir: string): Promise<Timed> {
  const folder = join(workDir, 'restic');
  const env = {
    RESTIC_REPOSITORY: join(folder, 'repo'),
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: join(folder, 'cache'),
  };
  await timeShell('"$1" init -q', [restic], env);
  const timed = await timeShell('"$1" backup -q "$2"', [restic, tree], env);
  await rm(folder, { recursive: true });
  return timed;
}
