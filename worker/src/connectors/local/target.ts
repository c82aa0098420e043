import type { BigIntStats } from 'node:fs';
import { chown, type FileHandle, lchown, link, lstat, lutimes, symlink } from 'node:fs/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SourceOf } from '@xvault/shared/sources.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { pathToText } from '../../artifact/path-text.ts';
import { describeOutcome, runChild } from '../../process/run-child.ts';
import { errnoOf } from '../../storage/local-fs-sync.ts';
import type { SourceEntry } from '../connector.ts';
import { type TargetConnector, TargetItemError, type TargetSession, type TargetStat } from '../target.ts';
import { inDirectory, splitName, TargetDirectories } from './target-directories.ts';
import { replaceIn, writeNewFile } from './target-file.ts';

const root = Buffer.from('.');
const writesInFlight = 4;

export interface LocalTargetOptions {
  /** Directories of this machine that restores may write in. */
  readonly allowedRoots: readonly string[];
}

/** Directories of the worker's machine that may hold something already. Throws PATH_NOT_ALLOWED outside those allowed. */
export function createLocalTarget({
  allowedRoots,
}: LocalTargetOptions): TargetConnector<SourceOf<'local'>['config'], object> {
  return {
    async connectTarget(_config, _secret, rootPath, signal, options) {
      signal.throwIfAborted();
      const session = new LocalTarget(rootPath, allowedRoots, options?.tag ?? randomToken().replace(/\W/g, ''));
      // Says at once when the place is not allowed or is no directory.
      await session.stat(root);
      return session;
    },
  };
}

class LocalTarget implements TargetSession {
  readonly abilities = { symlinks: true, modes: true, mtimes: true };
  readonly writesInFlight = writesInFlight;
  readonly #rootPath: string;
  readonly #directories: TargetDirectories;
  readonly #tag: string;
  readonly #keepsOwner = process.getuid?.() === 0;

  constructor(rootPath: string, allowedRoots: readonly string[], tag: string) {
    this.#rootPath = rootPath;
    this.#directories = new TargetDirectories(rootPath, allowedRoots);
    this.#tag = tag;
  }

  async stat(path: Buffer): Promise<TargetStat | null> {
    try {
      if (path.equals(root)) return await this.#directories.use(root, async (handle) => toStat(await statOf(handle)));
      const { parent, name } = splitName(path);
      return await this.#directories.use(parent, async (directory) =>
        toStat(await lstat(inDirectory(directory, name), { bigint: true })),
      );
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw targetError(error, path);
    }
  }

  async makeDirectory(path: Buffer): Promise<void> {
    await this.#directories.make(path).catch((error: unknown) => {
      throw targetError(error, path);
    });
  }

  async writeFile(entry: SourceEntry, content: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
    await this.#replace(entry.path, (place) =>
      writeNewFile(
        place,
        content,
        async (handle) => {
          if (this.#keepsOwner) await handle.chown(entry.uid, entry.gid);
          await handle.chmod(entry.mode);
          await handle.utimes(secondsOf(entry.mtimeNs), secondsOf(entry.mtimeNs));
        },
        signal,
      ),
    );
  }

  async makeSymlink(entry: SourceEntry): Promise<void> {
    await this.#replace(entry.path, async (place) => {
      await symlink(entry.linkTarget ?? root, place);
      if (this.#keepsOwner) await lchown(place, entry.uid, entry.gid);
      await lutimes(place, secondsOf(entry.mtimeNs), secondsOf(entry.mtimeNs));
    });
  }

  async makeHardlink(path: Buffer, existing: Buffer): Promise<void> {
    const from = splitName(existing);
    await this.#replace(path, (place) =>
      this.#directories.use(from.parent, (directory) => link(inDirectory(directory, from.name), place)),
    );
  }

  async finishDirectory(entry: SourceEntry): Promise<void> {
    try {
      await this.#directories.use(entry.path, async (handle) => {
        const place = `/proc/self/fd/${handle.fd}`;
        if (this.#keepsOwner) await chown(place, entry.uid, entry.gid);
        await handle.chmod(entry.mode);
        await handle.utimes(secondsOf(entry.mtimeNs), secondsOf(entry.mtimeNs));
      });
    } catch (error) {
      throw targetError(error, entry.path);
    }
  }

  async flush(signal: AbortSignal): Promise<void> {
    const outcome = await runChild({ file: 'sync', args: ['-f', '--', this.#rootPath], signal });
    signal.throwIfAborted();
    if (!outcome.succeeded) throw new XVaultError('RESTORE_FAILED', { detail: describeOutcome('sync', outcome) });
  }

  async close(): Promise<void> {
    await this.#directories.close();
  }

  async #replace(path: Buffer, make: (temporary: Buffer) => Promise<void>): Promise<void> {
    const { parent, name } = splitName(path);
    try {
      await this.#directories.use(parent, (directory) => replaceIn(directory, name, this.#tag, make));
    } catch (error) {
      throw targetError(error, path);
    }
  }
}

function statOf(handle: FileHandle): Promise<BigIntStats> {
  return handle.stat({ bigint: true });
}

function toStat(stats: BigIntStats): TargetStat {
  const type = stats.isFile()
    ? 'file'
    : stats.isDirectory()
      ? 'directory'
      : stats.isSymbolicLink()
        ? 'symlink'
        : 'other';
  return { type, sizeBytes: Number(stats.size), mtimeNs: stats.mtimeNs };
}

/** Shortages of this process, the machine or the disk: no path is at fault. */
const shortages = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO']);

function targetError(error: unknown, path: Buffer): unknown {
  const code = errnoOf(error);
  if (error instanceof XVaultError || error instanceof TargetItemError || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new XVaultError('STORAGE_FULL', { detail: code, cause: error });
  if (shortages.has(code)) return new XVaultError('RESTORE_FAILED', { detail: code, cause: error });
  if (!/^E[A-Z0-9]+$/.test(code)) return error;
  if (path.equals(root)) return new XVaultError('RESTORE_TARGET_INVALID', { detail: code, cause: error });
  return new TargetItemError(`${pathToText(path)}: ${code}`, { cause: error });
}

/** As Node takes times; it keeps microseconds. */
function secondsOf(mtimeNs: bigint): number {
  return Number(mtimeNs) / 1e9;
}
