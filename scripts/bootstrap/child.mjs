import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/**
 * Runs a command and keeps what it says, for the case that it fails.
 * @param {string[]} command @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<{ ok: boolean, output: string }>} `output` holds stdout and stderr as they came
 */
export function quietly([file = '', ...args], options = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-100_000);
      });
    }
    child.once('error', (error) => resolve({ ok: false, output: error.message }));
    child.once('close', (code) => resolve({ ok: code === 0, output }));
  });
}

/** @param {string[]} command */
export async function succeeds(command) {
  return (await quietly(command)).ok;
}

/** @param {string} name @returns {string | undefined} */
export function findProgramInPath(name) {
  for (const folder of (process.env.PATH ?? '').split(':')) {
    try {
      const file = join(folder, name);
      accessSync(file, constants.X_OK);
      if (folder !== '') return file;
    } catch {
      // Not in this folder: the next one may have it.
    }
  }
  return undefined;
}
