import { XVaultError } from '@xvault/shared/errors.ts';
import { pathToText } from '../../artifact/path-text.ts';

/** The source's root, as the index names it. */
export const rootPath = Buffer.from('.');

const slash = 0x2f;

/** Bytes as a map key: one character a byte, so that names which are not UTF-8 stay apart. */
export function pathKey(path: Buffer): string {
  return path.toString('latin1');
}

export function isRootPath(path: Buffer): boolean {
  return path.equals(rootPath);
}

/** The keys of all directories above a path, nearest first, the root left out: `a/b/c` → `a/b`, `a`. */
export function* parentKeys(key: string): Generator<string> {
  for (let at = key.lastIndexOf('/'); at > 0; at = key.lastIndexOf('/', at - 1)) yield key.slice(0, at);
}

/** The path of the directory that holds it; of `a` it is the root. */
export function parentOf(path: Buffer): Buffer {
  const at = path.lastIndexOf(slash);
  return at === -1 ? rootPath : path.subarray(0, at);
}

/**
 * Refuses (ARTIFACT_CORRUPT) whatever no source can have and only a forger writes: absolute paths, `.` and `..` parts, empty
 * parts, NUL. The root itself, `.`, is let through.
 */
export function demandSafePath(path: Buffer): void {
  if (isRootPath(path) || isSafePath(path)) return;
  throw new XVaultError('ARTIFACT_CORRUPT', { detail: `unsafe path in the index: ${pathToText(path)}` });
}

/** Whether every part of it is a name. */
export function isSafePath(path: Buffer): boolean {
  const parts = pathKey(path).split('/');
  return !parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'));
}
