import { join } from 'node:path';
import { repositoryRoot } from '../repository-root.ts';
import type { ChildCommand } from './child.ts';
import { baseEnvironment } from './environment.ts';

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
    env: { ...baseEnvironment(process.env), ...env },
    logFile: join(logs, `${name.toLowerCase()}.log`),
  };
}
