import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readlink, realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoOf } from '../../storage/local-fs-sync.ts';
import { assertAllowed } from './allowed-path.ts';

const slash = 0x2f;
const root = Buffer.from('.');
/** Open directories that are kept for the next file in them. */
const keptHandles = 64;
const noFollow = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

interface Slot {
  readonly handle: Promise<FileHandle>;
  users: number;
}

/** `name` in an open directory, wherever that has been moved and however long its path is. Needs Linux. */
export function inDirectory(directory: FileHandle, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory.fd}/`), name]);
}

export function splitName(path: Buffer): { parent: Buffer; name: Buffer } {
  const at = path.lastIndexOf(slash);
  return at === -1 ? { parent: root, name: path } : { parent: path.subarray(0, at), name: path.subarray(at + 1) };
}

/**
 * The directories of a target, each opened from the one above it without following a symlink: one that is planted below the
 * root leads nowhere.
 */
export class TargetDirectories {
  readonly #rootPath: string;
  readonly #allowedRoots: readonly string[];
  readonly #slots = new Map<string, Slot>();

  constructor(rootPath: string, allowedRoots: readonly string[]) {
    this.#rootPath = rootPath;
    this.#allowedRoots = allowedRoots;
  }

  /** Works in an open directory. Throws ENOENT when it is not there; ELOOP or ENOTDIR when it is none. */
  async use<T>(path: Buffer, work: (directory: FileHandle) => Promise<T>): Promise<T> {
    const slot = this.#slot(path);
    slot.users += 1;
    try {
      return await work(await slot.handle);
    } finally {
      slot.users -= 1;
    }
  }

  /** Makes it and what is missing above it. Throws as {@link use}. */
  async make(path: Buffer): Promise<void> {
    if (path.equals(root)) {
      await this.#makeRoot();
      return;
    }
    const { parent, name } = splitName(path);
    try {
      await this.use(parent, (directory) => makeOne(inDirectory(directory, name)));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await this.make(parent);
      await this.use(parent, (directory) => makeOne(inDirectory(directory, name)));
    }
    // Whatever was there already must be a directory.
    await this.use(path, async () => undefined);
  }

  async close(): Promise<void> {
    const slots = [...this.#slots.values()];
    this.#slots.clear();
    await Promise.allSettled(slots.map(async ({ handle }) => (await handle).close()));
  }

  #slot(path: Buffer): Slot {
    const key = path.toString('latin1');
    const known = this.#slots.get(key);
    // Put at the end again: the map's order is that of use.
    this.#slots.delete(key);
    const slot = known ?? { handle: this.#open(path), users: 0 };
    this.#slots.set(key, slot);
    if (known === undefined) {
      slot.handle.catch(() => {
        if (this.#slots.get(key) === slot) this.#slots.delete(key);
      });
      this.#closeOldest();
    }
    return slot;
  }

  #closeOldest(): void {
    for (const [key, slot] of this.#slots) {
      if (this.#slots.size <= keptHandles) return;
      if (slot.users > 0) continue;
      this.#slots.delete(key);
      slot.handle.then((handle) => handle.close()).catch(() => undefined);
    }
  }

  async #open(path: Buffer): Promise<FileHandle> {
    if (path.equals(root)) return this.#openRoot();
    const { parent, name } = splitName(path);
    return this.use(parent, (directory) => open(inDirectory(directory, name), noFollow));
  }

  /** Symlinks on the way to the root are the operator's own, as long as they end within what is allowed. */
  async #openRoot(): Promise<FileHandle> {
    await assertAllowed(this.#rootPath, this.#allowedRoots);
    const handle = await open(this.#rootPath, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await assertAllowed(await readlink(`/proc/self/fd/${handle.fd}`), this.#allowedRoots);
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async #makeRoot(): Promise<void> {
    await assertAllowed(this.#rootPath, this.#allowedRoots);
    const missing: string[] = [];
    let at = this.#rootPath;
    while (!(await exists(at))) {
      missing.unshift(basename(at));
      at = dirname(at);
    }
    let handle = await open(await realpath(at), noFollow);
    try {
      await assertAllowed(this.#rootPath, this.#allowedRoots);
      for (const name of missing) {
        const place = inDirectory(handle, Buffer.from(name));
        await makeOne(place);
        const next = await open(place, noFollow);
        await handle.close();
        handle = next;
      }
    } finally {
      await handle.close();
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await realpath(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Closed to others until it is finished. */
async function makeOne(place: Buffer): Promise<void> {
  try {
    await mkdir(place, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}
