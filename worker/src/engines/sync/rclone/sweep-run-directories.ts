import { lstat, readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runDirectoryBases, runDirectoryName } from './run-directory.ts';
import { lifeIn } from './sign-of-life.ts';

/**
 * Removes the directories of runs whose worker was killed together with what should have cleaned up after it, and ends what still
 * runs there: a run that lost its worker must write nothing more. What a living process owns, or what does not say whose it is,
 * stays. Returns how many went.
 */
export async function sweepRunDirectories(bases: readonly string[] = runDirectoryBases()): Promise<number> {
  let removed = 0;
  for (const base of bases) {
    for (const name of await namesIn(base)) {
      if (!runDirectoryName.test(name)) continue;
      const path = join(base, name);
      if (!(await isOwnDirectory(path)) || (await lifeIn(path)) !== 'dead') continue;
      await endOrphans(path);
      // What was just ended may have written a last file meanwhile.
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
      removed += 1;
    }
  }
  return removed;
}

/** Whose working directory and home it is was started for that run; somebody who looks around there has another home. */
async function endOrphans(directory: string): Promise<void> {
  const home = `HOME=${directory}`;
  const seen = await orNull(realpath(directory));
  if (seen === null) return;
  for (const name of await namesIn('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const isInside = (await orNull(readlink(join('/proc', name, 'cwd')))) === seen;
    if (!isInside) continue;
    const environment = (await orNull(readFile(join('/proc', name, 'environ'), 'latin1'))) ?? '';
    if (environment.split('\0').includes(home)) kill(Number(name));
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Others may put what they like into a place that all can write to: links are not followed, and only this user's are touched. */
async function isOwnDirectory(path: string): Promise<boolean> {
  const found = await orNull(lstat(path));
  return found?.isDirectory() === true && found.uid === process.getuid?.();
}

async function namesIn(directory: string): Promise<string[]> {
  return (await orNull(readdir(directory))) ?? [];
}

/** Null for what is gone meanwhile or is not this user's to read. */
async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EPERM' || code === 'ESRCH') return null;
    throw error;
  }
}
