import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { isWithin } from '@xvault/shared/sources.ts';

/** Throws PATH_NOT_ALLOWED unless `path`, its symlinks resolved, is one of the allowed roots or below it. */
export async function assertAllowed(path: string, allowedRoots: readonly string[]): Promise<void> {
  const [real, ...roots] = await Promise.all([path, ...allowedRoots].map(resolveExisting));
  if (roots.some((root) => isWithin(root, real ?? '/'))) return;
  throw new XVaultError('PATH_NOT_ALLOWED', { detail: `${path} (${real}) is in none of the allowed roots` });
}

/** The real path of what exists, the rest of the names after it: tells nobody whether the rest is there. */
async function resolveExisting(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    // Missing or not to be looked at: what matters here is where it would be.
    return path === '/' ? path : join(await resolveExisting(dirname(path)), basename(path));
  }
}
