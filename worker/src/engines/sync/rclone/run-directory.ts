import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, mkdtemp, open, rm, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { showLife } from './sign-of-life.ts';

/** A directory of one run's own, in memory where the system offers it; only this user may look into it. */
export interface RunDirectory {
  readonly path: string;
  remove(): Promise<void>;
}

const memory = '/dev/shm';
/** What a run's directory is called; the script that ends orphaned rclones knows it as well. */
const namePrefix = 'xvault-sync-';
export const runDirectoryName = /^xvault-sync-[A-Za-z0-9]{6}$/;

/** Where run directories of this machine may be. */
export function runDirectoryBases(): string[] {
  return [...new Set([memory, tmpdir()])];
}

/** Throws ERR_WRITE_RCLONE_CONFIG. */
export async function makeRunDirectory(): Promise<RunDirectory> {
  try {
    return await makeAlive();
  } catch (error) {
    throw new XVaultError('ERR_WRITE_RCLONE_CONFIG', {
      detail: `no directory for the run: ${String(error)}`,
      cause: error,
    });
  }
}

const cannotBeWritten: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EROFS'];

/** ERR_WRITE_RCLONE_CONFIG for what the system says where there is no room for what a run keeps on this machine. */
export function asDirectoryError(error: unknown): unknown {
  const errno = error instanceof Error && 'syscall' in error && 'code' in error ? error.code : undefined;
  if (!cannotBeWritten.includes(errno)) return error;
  return new XVaultError('ERR_WRITE_RCLONE_CONFIG', { detail: `writing for the run: ${String(error)}`, cause: error });
}

async function makeAlive(): Promise<RunDirectory> {
  const base = (await isWritable(memory)) ? memory : tmpdir();
  // mkdtemp makes it 0700.
  const path = await mkdtemp(join(base, namePrefix));
  const remove = () => rm(path, { recursive: true, force: true });
  try {
    const end = await showLife(path);
    return {
      path,
      async remove() {
        await end();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
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
