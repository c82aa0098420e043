import { constants } from 'node:fs';
import { type FileHandle, open, readlink } from 'node:fs/promises';
import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { assertAllowed } from './allowed-path.ts';

export interface OpenedRoot {
  readonly handle: FileHandle;
  readonly path: Buffer;
}

const codes: Record<string, ErrorCode> = {
  ENOENT: 'SOURCE_PATH_NOT_FOUND',
  ENOTDIR: 'SOURCE_PATH_NOT_FOUND',
  ELOOP: 'SOURCE_PATH_NOT_FOUND',
  EACCES: 'SOURCE_PERMISSION',
  EPERM: 'SOURCE_PERMISSION',
};

/** Opens the directory to back up. Throws PATH_NOT_ALLOWED, SOURCE_PATH_NOT_FOUND, SOURCE_PERMISSION, SOURCE_READ_FAILED. */
export async function openRoot(path: string, allowedRoots: readonly string[]): Promise<OpenedRoot> {
  await assertAllowed(path, allowedRoots);
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK);
    // Judged again by what was opened: a symlink may have been swapped in since the first look.
    const opened = await readlink(`/proc/self/fd/${handle.fd}`);
    await assertAllowed(opened, allowedRoots);
    return { handle, path: Buffer.from(opened) };
  } catch (cause) {
    await handle?.close();
    if (cause instanceof XVaultError) throw cause;
    const systemCode = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new XVaultError(codes[systemCode] ?? 'SOURCE_READ_FAILED', { detail: `${path}: ${systemCode}`, cause });
  }
}
