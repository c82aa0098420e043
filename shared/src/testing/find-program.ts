import { accessSync, constants, readdirSync } from 'node:fs';
import { join } from 'node:path';

const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** First executable of one of these names in PATH, the system's folders or `extra`; undefined when there is none. */
export function findProgram(names: readonly string[], extra: readonly string[] = []): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':').filter((part) => part !== ''), ...systemFolders, ...extra];
  for (const name of names) {
    for (const folder of folders) {
      const file = join(folder, name);
      if (isExecutable(file)) return file;
    }
  }
  return undefined;
}

/** Debian keeps the servers' programs out of PATH; the newest version comes first. */
export function postgresFolders(): string[] {
  const root = '/usr/lib/postgresql';
  return namesIn(root)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(root, version, 'bin'));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
