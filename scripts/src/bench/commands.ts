import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs a shell pipeline with its arguments as $1, $2 …; gives its seconds. Any part's failure is a failure. */
export async function timeShell(
  script: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<number> {
  const startMs = performance.now();
  const options = { maxBuffer: 1 << 26, env: { ...process.env, ...env } };
  await run('bash', ['-o', 'pipefail', '-c', script, 'bash', ...args], options);
  return (performance.now() - startMs) / 1000;
}
