import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import { pathToText } from '../../artifact/path-text.ts';
import { isRootPath, pathKey } from './paths.ts';

/**
 * A system call takes a path of 4,095 bytes. Longer ones are cut into hops of at most this, each opened from the one before; the
 * rest is for `/proc/self/fd/<n>/`.
 */
const maxHopBytes = 3900;
const slash = 0x2f;

/** `a/b/…/c/d` → [`a/b/…`, `c/d`]; a path of ordinary length is one hop. Throws ARTIFACT_CORRUPT for a name that cannot be. */
export function hopsOf(path: Buffer): Buffer[] {
  const hops: Buffer[] = [];
  let rest = path;
  while (rest.length > maxHopBytes) {
    const cut = rest.lastIndexOf(slash, maxHopBytes);
    if (cut <= 0) throw new XVaultError('ARTIFACT_CORRUPT', { detail: `a name is too long: ${pathToText(rest)}` });
    hops.push(rest.subarray(0, cut));
    rest = rest.subarray(cut + 1);
  }
  return [...hops, rest];
}

/** The directory that a deep path is unpacked from; null for a path that can be named from the root. */
export function anchorOf(path: Buffer): Buffer | null {
  if (path.length <= maxHopBytes) return null;
  const last = hopsOf(path).at(-1);
  return last === undefined ? null : path.subarray(0, path.length - last.length - 1);
}

export function anchorKey(path: Buffer): string | null {
  const anchor = anchorOf(path);
  return anchor === null ? null : pathKey(anchor);
}

/** Opens a directory at any depth below an open one. The caller closes the handle. */
export async function openBelow(root: FileHandle, path: Buffer): Promise<FileHandle> {
  let at = await openDirectory(fdPath(root, Buffer.from('.')));
  if (isRootPath(path)) return at;
  for (const hop of hopsOf(path)) {
    const parent = at;
    try {
      at = await openDirectory(fdPath(parent, hop));
    } finally {
      await parent.close();
    }
  }
  return at;
}

/** A path for system calls: `name` in an open directory. */
export function fdPath(directory: FileHandle, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory.fd}/`), name]);
}

async function openDirectory(path: Buffer): Promise<FileHandle> {
  return await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}
