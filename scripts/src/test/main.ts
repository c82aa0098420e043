import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Check, checks } from './checks.ts';
import { addCounts, type Counts, countTests, summaryLine } from './vitest-report.ts';

/** `npm test [-- file …]`: every check, then every test; the last line is `N passed, N failed`. */
const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

function run(command: readonly string[], stdio: 'pipe' | 'inherit'): Promise<{ code: number; output: string }> {
  const [file = '', ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', stdio, stdio] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    child.once('error', (error) => resolve({ code: 1, output: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

async function runCheck(check: Check): Promise<Counts> {
  const { code, output } = await run(check.command, 'pipe');
  console.log(`${code === 0 ? '✓' : '✗'} ${check.name}`);
  if (code !== 0) console.log(output.trimEnd());
  return code === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

async function runTests(filters: readonly string[]): Promise<Counts> {
  const folder = await mkdtemp(join(tmpdir(), 'xvault-test-'));
  try {
    const report = join(folder, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const vitest = join(root, 'node_modules', '.bin', 'vitest');
    const { code } = await run([vitest, 'run', '--allowOnly=false', ...reporters, ...filters], 'inherit');
    return countTests(await readFile(report, 'utf8').catch(() => undefined), code);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

let counts: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const check of checks(root)) counts = addCounts(counts, await runCheck(check));
counts = addCounts(counts, await runTests(process.argv.slice(2)));
const { line, ok } = summaryLine(counts, process.env.CI === 'true');
console.log(line);
process.exitCode = ok ? 0 : 1;
