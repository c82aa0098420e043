import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PlatformOptions, startPlatform } from '../platform/start-platform.ts';
import { stopSignal } from '../stop-signal.ts';
import { type DemoOptions, parseDemoOptions, UsageError } from './options.ts';
import { renderTable } from './report.ts';
import { backUpAndRestore, type DemoContext, openByStandardTools } from './scenario.ts';
import { chooseSource } from './sources.ts';

/** `npm run demo`: see the README. Exit code 0 only if every step held. */
const stop = stopSignal();
try {
  await demo(parseDemoOptions(process.argv.slice(2)));
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(`\ndemo: ${stop.signal.aborted ? 'interrupted' : reason}\n`);
  process.exitCode = stop.signal.aborted ? 130 : error instanceof UsageError ? 2 : 1;
}
process.exit();

async function demo(options: DemoOptions): Promise<void> {
  const source = await chooseSource(options);
  // Paths are compared by their real names, and a temporary folder may lie behind a symlink.
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'xvault-demo-')));
  // With --json the table alone goes to stdout.
  const output = options.json ? process.stderr : process.stdout;
  const say = (line: string) => void output.write(`${line}\n`);
  const workDir = join(folder, 'work');
  const platformOptions: PlatformOptions = {
    dataDir: join(folder, 'data'),
    localRoots: source.localPath === undefined ? [] : [source.localPath],
    restoreRoots: [workDir],
    allowNetworks: source.allowNetworks,
  };
  try {
    await mkdir(workDir, { mode: 0o700 });
    say('starting the platform: Redis, Hub, worker');
    let platform = await startPlatform(platformOptions);
    try {
      const context: DemoContext = { platform, source, workDir, output, say, signal: stop.signal };
      const state = await stop.race(platform.failed, backUpAndRestore(context));
      // The embedded database is the Hub's alone while it runs, and what follows must not need xVault at all.
      await platform.stop();
      const report = await stop.race(openByStandardTools(context, state));
      say(`\n${renderTable(report)}\n`);
      if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
      if (options.stay) {
        platform = await startPlatform(platformOptions);
        say(
          `the platform is up again at ${platform.hubUrl} (API documentation: ${platform.hubUrl}/docs); Ctrl-C ends it`,
        );
        say(`operator: ${platform.operator.email}  password: ${platform.operator.password}`);
        await Promise.race([platform.failed, stop.asked]);
      }
    } finally {
      await platform.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
