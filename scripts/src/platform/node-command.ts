import { join } from 'node:path';
import { repositoryRoot } from '../repository-root.ts';
import type { ChildCommand } from './child.ts';
import { baseEnvironment } from './environment.ts';

/**
 * Keeps memory small: fewer heaps of the C library, young generations that suit short-lived buffers, and TypeScript
 * stripped once for all processes and threads instead of in each.
 */
const memoryEnvironment = {
  MALLOC_ARENA_MAX: '2',
  NODE_OPTIONS: '--max-semi-space-size=8',
  NODE_COMPILE_CACHE: join(repositoryRoot, '.xvault', 'compile-cache'),
};

/** How one of the product's own processes is started; its log is `<logs>/<name in lower case>.log`. */
export function nodeCommand(
  name: string,
  script: string,
  env: Readonly<Record<string, string>>,
  logs: string,
): ChildCommand {
  return {
    name,
    program: process.execPath,
    args: [join(repositoryRoot, script)],
    env: { ...baseEnvironment(process.env), ...memoryEnvironment, ...env },
    logFile: join(logs, `${name.toLowerCase()}.log`),
  };
}
