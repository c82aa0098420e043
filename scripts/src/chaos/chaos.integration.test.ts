import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lines, problemNames } from './report.ts';
import { runChaos } from './run-chaos.ts';

test('eight faults lose no run, commit nothing twice and leave nothing behind', async () => {
  const parent = await realpath(await mkdtemp(join(tmpdir(), 'xvault-chaos-')));
  try {
    const workDir = join(parent, 'work');
    await mkdir(workDir, { mode: 0o755 });
    const said: string[] = [];
    const say = (line: string) => void said.push(line);
    const signal = AbortSignal.timeout(280_000);
    const report = await runChaos({ faults: 8, seed: 62, largestBytes: 48 * 2 ** 20, workDir, say, signal });
    const story = [...said, ...lines(report)].join('\n');
    for (const name of problemNames) expect(report.problems[name], story).toEqual([]);
    // Else nothing was tested: work was done, and the faults hit some of it.
    expect(report.snapshotsRestored, story).toBeGreaterThan(5);
    const disturbed = Object.keys(report.attempts).filter((end) => !/^(completed|cancelled)/.test(end));
    expect(disturbed, story).not.toEqual([]);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}, 300_000);
