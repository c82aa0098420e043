import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** STORAGE_FULL for a full disk or quota, else STORAGE_FAILED; an XVaultError goes through as it is. */
export function storageError(cause: unknown, what: string): XVaultError {
  if (cause instanceof XVaultError) return cause;
  const errno = errnoOf(cause);
  const code = errno === 'ENOSPC' || errno === 'EDQUOT' ? 'STORAGE_FULL' : 'STORAGE_FAILED';
  return new XVaultError(code, { detail: `${what}: ${errno ?? String(cause)}`, cause });
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes `path` and its missing parents (0700), each durable. Down from `root` a parent is flushed even when the directory was
 * there: another writer may have made it this moment and not flushed it yet.
 */
export async function ensureDirectory(path: string, root: string): Promise<void> {
  const parent = dirname(path);
  if (path !== root && parent !== path) await ensureDirectory(parent, root);
  let made = await makeDirectory(path);
  if (made === 'no parent') {
    await ensureDirectory(parent, parent);
    made = await makeDirectory(path);
  }
  if (made === 'made' || (made === 'there' && path !== root)) await syncDirectory(parent);
}

async function makeDirectory(path: string): Promise<'made' | 'there' | 'no parent'> {
  try {
    await mkdir(path, { mode: 0o700 });
    return 'made';
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') return 'there';
    if (errnoOf(cause) === 'ENOENT') return 'no parent';
    throw cause;
  }
}
