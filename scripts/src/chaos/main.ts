import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { integerText } from '@xvault/shared/config.ts';
import { z } from 'zod';
import { stopSignal } from '../stop-signal.ts';
import { holds, jsonLine, lines } from './report.ts';
import { runChaos } from './run-chaos.ts';

const usage = 'npm run chaos -- [--faults N] [--seed S] [--json] [--keep]';
const largestBytes = 200 * 2 ** 20;

/** Strikes a real cluster with faults; exit code 0 only if everything held. `--keep` leaves its folder, with the logs. */
const stop = stopSignal();
try {
  await main();
} catch (error) {
  process.stderr.write(`chaos: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
process.exit();

async function main(): Promise<void> {
  const { faults, seed, json, keep } = readOptions();
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  const parent = await realpath(await mkdtemp(join(tmpdir(), 'xvault-chaos-')));
  try {
    const workDir = join(parent, 'work');
    await mkdir(workDir, { mode: 0o755 });
    const report = await runChaos({ faults, seed, largestBytes, workDir, say, signal: stop.signal });
    for (const line of lines(report)) say(line);
    if (json) console.log(jsonLine(report));
    process.exitCode = holds(report) ? 0 : 1;
  } finally {
    if (keep) say(`kept: ${parent}`);
    else await rm(parent, { recursive: true, force: true });
  }
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      faults: { type: 'string', default: '40' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  });
  const number = integerText.pipe(
    z
      .int()
      .min(0)
      .max(2 ** 32 - 1),
  );
  const [faults, seed] = [number.safeParse(values.faults), number.safeParse(values.seed)];
  if (!faults.success || faults.data === 0 || !seed.success) throw new Error(usage);
  return { faults: faults.data, seed: seed.data, json: values.json, keep: values.keep };
}
