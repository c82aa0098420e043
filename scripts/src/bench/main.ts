import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stopSignal } from '../stop-signal.ts';
import type { Bench, BenchResult } from './bench.ts';
import { browse } from './browse.ts';
import { dispatch } from './dispatch.ts';
import { dump } from './dump.ts';
import { memory } from './memory.ts';
import { pipeline } from './pipeline.ts';
import { progress } from './progress.ts';
import { randomAccess } from './random-access.ts';
import { scheduler } from './scheduler.ts';
import { sftp } from './sftp.ts';
import { sync } from './sync.ts';

const benches: Readonly<Record<string, Bench>> = {
  pipeline,
  memory,
  dispatch,
  dump,
  scheduler,
  progress,
  browse,
  sftp,
  sync,
  'random-access': randomAccess,
};

/** `npm run bench -- <name> [--json] [--gib N]`. */
const stop = stopSignal();
try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
process.exit();

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' }, gib: { type: 'string' } },
  });
  const bench = benches[positionals[0] ?? ''];
  if (bench === undefined || positionals.length !== 1) {
    throw new Error(`npm run bench -- <name> [--json] [--gib N]; names: ${Object.keys(benches).join(', ')}`);
  }
  const workDir = await realpath(await mkdtemp(join(tmpdir(), 'xvault-bench-')));
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  try {
    const result = await bench({
      workDir,
      say,
      signal: stop.signal,
      ...(values.gib === undefined ? {} : { gib: gibOf(values.gib) }),
    });
    print(result, values.json === true);
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

function gibOf(text: string): number {
  const gib = Number(text);
  if (!(gib > 0)) throw new Error('--gib takes a number of GiB');
  return gib;
}

function print(result: BenchResult, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(result));
    return;
  }
  for (const [name, value] of Object.entries(result.ratios)) console.log(`${name.padEnd(24)}× ${value}`);
  for (const [name, value] of Object.entries(result.figures)) console.log(`${name.padEnd(24)}  ${value}`);
}
