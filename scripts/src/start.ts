import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPlatform } from './platform/start-platform.ts';
import { readStartConfig } from './start-config.ts';
import { stopSignal } from './stop-signal.ts';

/** `npm start`: the embedded platform on a kept data folder, until Ctrl-C. */
const stop = stopSignal();
try {
  await start();
} catch (error) {
  process.stderr.write(`xvault: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
process.exit();

async function start(): Promise<void> {
  const config = readStartConfig(process.env);
  for (const folder of config.restoreRoots) await mkdir(folder, { recursive: true, mode: 0o700 });
  const platform = await startPlatform(config);
  try {
    console.log(`xVault is up: ${platform.hubUrl}`);
    console.log(`API documentation: ${platform.hubUrl}/docs`);
    console.log(`data folder: ${config.dataDir} (logs in logs/)`);
    await showPasswordOnce(config.dataDir, platform.operator);
    console.log('Ctrl-C stops it.');
    await Promise.race([platform.failed, stop.asked]);
    console.log('stopping');
  } finally {
    await platform.stop();
  }
  console.log('stopped');
}

/** The mark is written after the password was shown, so that a first start that broke does not hide it for ever. */
async function showPasswordOnce(dataDir: string, operator: { email: string; password: string }): Promise<void> {
  const mark = join(dataDir, 'secrets', 'operator-password-shown');
  console.log(`operator: ${operator.email}`);
  if (existsSync(mark)) return;
  console.log(`password: ${operator.password}  (shown this once; kept in ${join('secrets', 'operator-password')})`);
  await writeFile(mark, '', { mode: 0o600 });
}
