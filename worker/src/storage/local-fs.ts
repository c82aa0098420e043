import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { DirectFile } from './direct-file.ts';
import { LocalFileReader, LocalFileWriter } from './local-fs-files.ts';
import { listLocalItems } from './local-fs-list.ts';
import { localPathOf, partPathOf } from './local-fs-paths.ts';
import { ensureDirectory, errnoOf, storageError, syncDirectory } from './local-fs-sync.ts';
import type { FileReader, FileWriter, PendingSnapshot, SnapshotFileName, SnapshotStorage } from './storage.ts';

export { localPathOf, placeOfLocalPath } from './local-fs-paths.ts';

/**
 * Snapshots below one directory of this machine. A snapshot is written to `<id>.part-<epoch>` and renamed when it is whole and
 * on the disk. Epochs begin at 1: part 0 is what an interrupted deletion left.
 */
export function createLocalFsStorage(root: string): SnapshotStorage {
  return {
    async create(place, epoch) {
      if (epoch < 1) throw new XVaultError('STORAGE_FAILED', { detail: `epoch ${epoch} is reserved` });
      const target = join(root, localPathOf(place));
      const part = join(root, partPathOf(place, epoch));
      try {
        await refuseExisting(target);
        await ensureDirectory(join(target, '..'), root);
        // Not recursive: a part of this very epoch would be another writer's, and EEXIST must stop us.
        await mkdir(part, { mode: 0o700 });
      } catch (cause) {
        throw storageError(cause, `cannot begin ${part}`);
      }
      return new LocalPendingSnapshot(part, target);
    },

    async open(place, name): Promise<FileReader> {
      const path = join(root, localPathOf(place), name);
      let handle: FileHandle | undefined;
      try {
        handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
        const stat = await handle.stat();
        if (!stat.isFile()) throw new XVaultError('ARTIFACT_MISSING', { detail: `${path} is not a regular file` });
        return new LocalFileReader(handle, stat.size, path);
      } catch (cause) {
        await handle?.close();
        if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(cause) ?? '')) {
          throw new XVaultError('ARTIFACT_MISSING', { detail: `${path} is not there`, cause });
        }
        throw storageError(cause, `cannot open ${path}`);
      }
    },

    async delete(place) {
      const target = join(root, localPathOf(place));
      const remains = join(root, partPathOf(place, 0));
      try {
        await rm(remains, { recursive: true, force: true });
        // Renamed first, so that a snapshot is never seen with some of its files gone.
        if (await renamed(target, remains)) await syncDirectory(join(target, '..'));
        await rm(remains, { recursive: true, force: true });
      } catch (cause) {
        throw storageError(cause, `cannot delete ${target}`);
      }
    },

    async deletePart(place, epoch) {
      const part = join(root, partPathOf(place, epoch));
      try {
        await rm(part, { recursive: true, force: true });
      } catch (cause) {
        throw storageError(cause, `cannot delete ${part}`);
      }
    },

    list: () => listLocalItems(root),

    async space() {
      try {
        await ensureDirectory(root, root);
        const stat = await statfs(root);
        return { freeBytes: stat.bavail * stat.bsize, totalBytes: stat.blocks * stat.bsize };
      } catch (cause) {
        throw storageError(cause, `cannot look at the space of ${root}`);
      }
    },
  };
}

class LocalPendingSnapshot implements PendingSnapshot {
  readonly #part: string;
  readonly #target: string;
  readonly #writers = new Set<LocalFileWriter>();
  #state: 'open' | 'published' | 'aborted' | 'uncertain' = 'open';

  constructor(part: string, target: string) {
    this.#part = part;
    this.#target = target;
  }

  async createFile(name: SnapshotFileName): Promise<FileWriter> {
    this.#demandOpen();
    const path = join(this.#part, name);
    try {
      const handle = await open(path, 'wx', 0o600);
      const direct = await DirectFile.open(handle, path).catch(async (cause: unknown) => {
        await handle.close();
        throw cause;
      });
      const writer = new LocalFileWriter(handle, path, direct);
      this.#writers.add(writer);
      return writer;
    } catch (cause) {
      throw storageError(cause, `cannot create ${path}`);
    }
  }

  async commit(): Promise<void> {
    this.#demandOpen();
    for (const writer of this.#writers) {
      if (!writer.durable) throw new XVaultError('STORAGE_FAILED', { detail: `${writer.path} is not closed` });
    }
    try {
      await syncDirectory(this.#part);
      // rename() itself refuses a directory that holds anything; this gives the better message and covers an empty one.
      await refuseExisting(this.#target);
      await rename(this.#part, this.#target);
      this.#state = 'uncertain';
      await syncDirectory(join(this.#target, '..'));
      this.#state = 'published';
    } catch (cause) {
      throw storageError(cause, `cannot publish ${this.#target}`);
    }
  }

  async abort(): Promise<void> {
    if (this.#state === 'published' || this.#state === 'aborted') return;
    // After a rename whose directory could not be flushed, what stands under the final name is ours to remove.
    const litter = this.#state === 'uncertain' ? this.#target : this.#part;
    try {
      for (const writer of this.#writers) await writer.discard();
      await rm(litter, { recursive: true, force: true });
      this.#state = 'aborted';
    } catch (cause) {
      throw storageError(cause, `cannot remove ${litter}`);
    }
  }

  #demandOpen(): void {
    if (this.#state !== 'open') throw new XVaultError('STORAGE_FAILED', { detail: `${this.#part} is ${this.#state}` });
  }
}

async function refuseExisting(path: string): Promise<void> {
  try {
    await lstat(path);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return;
    throw cause;
  }
  throw new XVaultError('STORAGE_FAILED', { detail: `${path} is published already` });
}

async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return false;
    throw cause;
  }
}
