import { closeSync, constants, openSync } from 'node:fs';
import { anchored, canOpenDeep, joinedPath, openChildDirectory } from './deep-path.ts';

/** Descriptors held at a time; of a deeper tree the upper ones are closed and opened again on the way back. */
const openLevels = 200;

export interface RootDirectory {
  /** An open descriptor of the root; whoever opened it closes it. */
  readonly fd: number;
  readonly path: Buffer;
}

/**
 * A place in a tree that moves one directory at a time. Each step opens by name in the directory before and never follows a
 * symlink, so nothing that is swapped during the walk leads out of the root.
 */
export class DirectoryCursor {
  readonly #root: RootDirectory;
  readonly #names: Buffer[] = [];
  /** By level, the root's first; undefined where it was closed to save descriptors. */
  readonly #fds: (number | undefined)[];
  #lowestOpen = 1;

  constructor(root: RootDirectory) {
    this.#root = root;
    this.#fds = [root.fd];
  }

  get depth(): number {
    return this.#names.length;
  }

  /** A path for `name` in the current directory, to give to a system call at once. */
  pathOf(name: Buffer): Buffer {
    if (canOpenDeep()) return anchored(this.#current(), name);
    return this.#names.concat(name).reduce(joinedPath, this.#root.path);
  }

  /** The current directory itself. */
  path(): Buffer {
    if (canOpenDeep()) return anchored(this.#current());
    return this.#names.reduce(joinedPath, this.#root.path);
  }

  /** Goes into a directory of the current one; throws the system's error and stays where it is when it cannot. */
  push(name: Buffer): void {
    const fd = canOpenDeep() ? openChildDirectory(this.#current(), name) : checkDirectory(this.pathOf(name));
    this.#names.push(name);
    this.#fds.push(fd);
    this.#evict();
  }

  pop(): void {
    this.#names.pop();
    const fd = this.#fds.pop();
    if (fd !== undefined) closeSync(fd);
    this.#lowestOpen = Math.max(1, Math.min(this.#lowestOpen, this.#fds.length));
  }

  /** Goes to the directory with these names below the root, keeping what is the same. */
  enter(parts: readonly Buffer[]): void {
    let same = 0;
    for (const [at, name] of this.#names.entries()) {
      if (!parts[at]?.equals(name)) break;
      same += 1;
    }
    while (this.depth > same) this.pop();
    for (const part of parts.slice(same)) this.push(part);
  }

  close(): void {
    while (this.depth > 0) this.pop();
  }

  #current(): number {
    const level = this.depth;
    const open = this.#fds[level];
    return open ?? this.#reopen(level);
  }

  /** Opens a level again that was closed, from the root on, keeping the deepest ones open. */
  #reopen(level: number): number {
    let fd = this.#root.fd;
    this.#lowestOpen = 1;
    for (let at = 1; at <= level; at += 1) {
      fd = this.#fds[at] ?? openChildDirectory(fd, this.#names[at - 1] ?? Buffer.alloc(0));
      this.#fds[at] = fd;
      if (at > openLevels) this.#closeLevel(at - openLevels);
    }
    return fd;
  }

  #evict(): void {
    while (this.#fds.length - this.#lowestOpen > openLevels) this.#closeLevel(this.#lowestOpen);
  }

  #closeLevel(level: number): void {
    const fd = this.#fds[level];
    if (fd !== undefined) closeSync(fd);
    this.#fds[level] = undefined;
    this.#lowestOpen = level + 1;
  }
}

/** Where descriptors cannot serve as places, at least a symlink is not taken for a directory. */
function checkDirectory(path: Buffer): undefined {
  closeSync(openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW));
}
