import { type BigIntStats, closeSync, constants, fstatSync, openSync } from 'node:fs';
import type { SkippedItem } from '../connector.ts';
import type { DirectoryCursor } from './directory-cursor.ts';
import { skippedBy } from './item-errors.ts';

// O_NONBLOCK: a pipe that has taken the file's name must not hold the thread until somebody writes to it.
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const noAccessTime: number = constants.O_NOATIME ?? 0;

export interface OpenedFile {
  readonly fd: number;
  readonly stats: BigIntStats;
}

/** Opens regular files by their paths below the root; what is asked for in the order of a walk is cheap. */
export class FileOpener {
  readonly #cursor: DirectoryCursor;
  #directory = Buffer.alloc(0);
  /** Leaving access times alone is allowed to the owner and to root; once refused, it is not tried again. */
  #flags = flags | noAccessTime;

  constructor(cursor: DirectoryCursor) {
    this.#cursor = cursor;
  }

  open(path: Buffer): OpenedFile | SkippedItem {
    let fd: number | undefined;
    try {
      fd = this.#open(this.#place(path));
      const stats = fstatSync(fd, { bigint: true });
      if (stats.isFile()) return { fd, stats };
      closeSync(fd);
      return { path, skipped: 'ITEM_VANISHED', detail: 'something else has taken its name' };
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      return skippedBy(error, path);
    }
  }

  #place(path: Buffer): Buffer {
    const cut = path.lastIndexOf(0x2f);
    const directory = path.subarray(0, Math.max(0, cut));
    if (!directory.equals(this.#directory)) {
      this.#directory = Buffer.alloc(0);
      this.#cursor.enter(splitPath(directory));
      this.#directory = Buffer.from(directory);
    }
    return this.#cursor.pathOf(path.subarray(cut + 1));
  }

  #open(place: Buffer): number {
    try {
      return openSync(place, this.#flags);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM' || this.#flags === flags) throw error;
      this.#flags = flags;
      return openSync(place, flags);
    }
  }
}

function splitPath(path: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  while (start < path.length) {
    const slash = path.indexOf(0x2f, start);
    const end = slash === -1 ? path.length : slash;
    parts.push(Buffer.from(path.subarray(start, end)));
    start = end + 1;
  }
  return parts;
}
