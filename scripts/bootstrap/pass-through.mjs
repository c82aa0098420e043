import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** Signals that are the product's to answer; it takes a second one calmly (a terminal sends Ctrl-C to both of us). */
const forwarded = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/**
 * Runs the product in the foreground and gives its exit code, 128 + n when signal n ended it.
 * @param {string} file @param {string[]} args @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>}
 */
export function passThrough(file, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env, stdio: 'inherit' });
    for (const signal of forwarded) process.on(signal, () => child.kill(signal));
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
