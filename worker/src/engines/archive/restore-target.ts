import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, realpath, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { isWithin } from '@xvault/shared/sources.ts';

/** A directory that a restore may be published at. */
export interface RestoreTarget {
  /** Without symlinks; its parent exists. */
  readonly path: string;
  readonly parent: string;
  /** Directories made on the way, outermost first. */
  readonly made: readonly string[];
}

/**
 * Checks a target and makes its missing parents. It must be strictly inside one of the allowed roots, symlinks followed, and must
 * not exist or be an empty directory. Throws PATH_NOT_ALLOWED, RESTORE_TARGET_NOT_EMPTY, RESTORE_TARGET_INVALID.
 */
export async function prepareTarget(wanted: string, allowedRoots: readonly string[]): Promise<RestoreTarget> {
  const { ancestor, rest } = await nearestAncestor(resolve(wanted));
  const path = join(ancestor, ...rest);
  if (!(await isStrictlyInside(path, allowedRoots))) throw new XVaultError('PATH_NOT_ALLOWED', { detail: path });
  if (rest.length === 0) await demandEmptyDirectory(path);
  const parent = dirname(path);
  const made = await makeParents(ancestor, rest.slice(0, -1));
  return { path, parent, made };
}

/** Removes the parents that {@link prepareTarget} made, as far as they are empty. */
export async function removeMadeParents(target: RestoreTarget): Promise<void> {
  for (const directory of target.made.toReversed()) {
    try {
      await rmdir(directory);
    } catch {
      // Somebody else uses it by now: then it stays, with what is above it.
      return;
    }
  }
}

/** The deepest part of a path that exists, with its symlinks resolved, and the names below it. */
async function nearestAncestor(path: string): Promise<{ ancestor: string; rest: string[] }> {
  const rest: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    if ((await statOf(at)) !== null) return { ancestor: await realDirectory(at), rest };
    if (at === dirname(at))
      throw new XVaultError('RESTORE_TARGET_INVALID', { detail: `${path}: nothing of it exists` });
    rest.unshift(basename(at));
  }
}

async function statOf(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw new XVaultError('RESTORE_TARGET_INVALID', { detail: `${path} cannot be looked at`, cause });
  }
}

async function realDirectory(path: string): Promise<string> {
  try {
    const real = await realpath(path);
    // Fails for anything but a directory.
    await (await open(real, constants.O_RDONLY | constants.O_DIRECTORY)).close();
    return real;
  } catch (cause) {
    throw new XVaultError('RESTORE_TARGET_INVALID', { detail: `${path} is no usable directory`, cause });
  }
}

async function isStrictlyInside(path: string, allowedRoots: readonly string[]): Promise<boolean> {
  for (const root of allowedRoots) {
    // A root that does not exist allows nothing.
    if ((await statOf(root)) === null) continue;
    const real = await realpath(root);
    if (path !== real && isWithin(real, path)) return true;
  }
  return false;
}

async function demandEmptyDirectory(path: string): Promise<void> {
  if ((await readdir(path)).length > 0) throw new XVaultError('RESTORE_TARGET_NOT_EMPTY', { detail: path });
}

async function makeParents(ancestor: string, names: readonly string[]): Promise<string[]> {
  const made: string[] = [];
  let at = ancestor;
  for (const name of names) {
    at = join(at, name);
    try {
      await mkdir(at, { mode: 0o755 });
      made.push(at);
    } catch (cause) {
      const target = { path: at, parent: dirname(at), made };
      await removeMadeParents(target);
      throw new XVaultError('RESTORE_TARGET_INVALID', { detail: `cannot make ${at}`, cause });
    }
  }
  return made;
}
