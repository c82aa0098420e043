import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Timed {
  readonly seconds: number;
  /** User and system time of all processes together. */
  readonly cpuSeconds: number;
}

/** Runs a shell pipeline with its arguments as $1, $2 …. Any part's failure is a failure. */
export async function timeShell(
  script: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Timed> {
  const startMs = performance.now();
  const options = { maxBuffer: 1 << 26, env: { ...process.env, ...env, LC_ALL: 'C' } };
  const measured = `{ ${script}\n} && times >&2`;
  const { stderr } = await run('bash', ['-o', 'pipefail', '-c', measured, 'bash', ...args], options);
  return { seconds: (performance.now() - startMs) / 1000, cpuSeconds: cpuOfChildren(stderr) };
}

/** The last line of bash's `times`: user and system time of its children, as `0m1.234s 0m0.567s`. */
function cpuOfChildren(words: string): number {
  const times = [...(words.trimEnd().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  if (times.length !== 2) throw new Error(`bash told no times: ${words}`);
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}
