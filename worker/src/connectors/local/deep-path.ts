import { closeSync, constants, openSync } from 'node:fs';

/** Linux lets any call work relative to an open directory by its entry here; Node has no `openat`. */
const fdRoot = '/proc/self/fd';

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * A path that means `name` in the open directory `fd`, however long the directory's own path is and whatever has been
 * renamed above it.
 */
export function anchored(fd: number, name?: Buffer): Buffer {
  const base = Buffer.from(`${fdRoot}/${fd}/`);
  return name === undefined ? base : Buffer.concat([base, name]);
}

/**
 * Opens a directory whose path may be longer than PATH_MAX, step by step below `base`; no part below `base` may be a
 * symlink. The caller closes the descriptor.
 */
export function openDeepDirectory(base: string | Buffer, parts: readonly Buffer[]): number {
  let fd = openSync(base, constants.O_RDONLY | constants.O_DIRECTORY);
  for (const part of parts) {
    try {
      const next = openSync(anchored(fd, part), directoryFlags);
      closeSync(fd);
      fd = next;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
  return fd;
}
