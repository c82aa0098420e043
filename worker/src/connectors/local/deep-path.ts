import { closeSync, constants, existsSync, openSync } from 'node:fs';

/** Linux lets any call work relative to an open directory by its entry here; Node has no `openat`. */
const fdRoot = '/proc/self/fd';
const canAnchor = existsSync(fdRoot);
const slash = Buffer.from('/');

/** Longest path, in bytes, that a call takes at once: PATH_MAX of Linux and of macOS, with room for a name. */
const longestPathBytes = canAnchor ? 4095 : 1023;

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * A path that means `name` in the open directory `fd`, however long the directory's own path is and whatever has been
 * renamed above it. Needs Linux.
 */
export function anchored(fd: number, name?: Buffer): Buffer {
  const base = Buffer.from(`${fdRoot}/${fd}/`);
  return name === undefined ? base : Buffer.concat([base, name]);
}

export function canOpenDeep(): boolean {
  return canAnchor;
}

/** Opens `name` in an open directory. Throws ELOOP or ENOTDIR when it is not a directory itself. */
export function openChildDirectory(fd: number, name: Buffer): number {
  return openSync(anchored(fd, name), directoryFlags);
}

/**
 * Opens a directory whose path may be longer than PATH_MAX, step by step below `base`; no part below `base` may be a
 * symlink. The caller closes the descriptor.
 */
export function openDeepDirectory(base: string | Buffer, parts: readonly Buffer[]): number {
  let fd = openSync(base, constants.O_RDONLY | constants.O_DIRECTORY);
  for (const part of parts) {
    try {
      const next = openChildDirectory(fd, part);
      closeSync(fd);
      fd = next;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
  return fd;
}

/** `base/name`, refused with ENAMETOOLONG where the system cannot take it: for systems without {@link anchored}. */
export function joinedPath(base: Buffer, name: Buffer): Buffer {
  const path = base.at(-1) === 0x2f ? Buffer.concat([base, name]) : Buffer.concat([base, slash, name]);
  if (path.length <= longestPathBytes) return path;
  throw Object.assign(new Error('the path is too long for this system'), { code: 'ENAMETOOLONG' });
}
