import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, mkdtemp, open, rm, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory of one run's own, in memory where the system offers it; only this user may look into it. */
export interface RunDirectory {
  readonly path: string;
  remove(): Promise<void>;
}

export async function makeRunDirectory(): Promise<RunDirectory> {
  const base = (await isWritable('/dev/shm')) ? '/dev/shm' : tmpdir();
  // mkdtemp makes it 0700.
  const path = await mkdtemp(join(base, 'xvault-sync-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** A file whose name is gone as soon as it is written: only who is given the descriptor can read it. */
export async function unlinkedFile(directory: string, content: string): Promise<FileHandle> {
  const path = join(directory, randomBytes(8).toString('hex'));
  const written = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await written.writeFile(content);
    return await open(path, constants.O_RDONLY);
  } finally {
    await unlink(path);
    await written.close();
  }
}

async function isWritable(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    // Not there, or not ours to write: the other place serves as well.
    return false;
  }
}
