import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';
import { nanosecondsOf } from '../../engines/sync/file-times.ts';
import { type ListedObject, listObjects } from '../../engines/sync/listing.ts';
import { classify, isItemError } from '../../engines/sync/rclone/classify.ts';
import { type RcClient, RcError } from '../../engines/sync/rclone/rc-client.ts';
import { deleteFile } from '../../engines/sync/remote-files.ts';
import { toStandardName } from '../../engines/sync/standard-names.ts';
import type { SourceEntry } from '../connector.ts';
import { type TargetAbilities, TargetItemError, type TargetSession, type TargetStat } from '../target.ts';
import { ContentServer } from './content-server.ts';

const writesInFlight = 4;
const cleanUpMs = 10_000;
/** Directories whose listings are kept; forgotten together when there are more. */
const rememberedDirectories = 200;

export interface RcloneTargetOptions {
  readonly rc: RcClient;
  /** The target's root, `name:path`. */
  readonly fs: string;
  /** Letters and digits of the run for temporary names. */
  readonly tag: string;
  readonly signal: AbortSignal;
}

const fsInfo = z.object({
  /** Nanoseconds; absurdly long where times are not kept. */
  Precision: z.number(),
  Features: z.object({ CaseInsensitive: z.boolean().optional() }),
});
const longestPrecisionNs = 1e12;

/** By name, in lower case where the target does not tell cases apart. */
type Listing = ReadonlyMap<string, ListedObject>;

/** What is reached by rclone alone (WebDAV, SMB): no links, no modes; times where the server keeps them. */
export async function openRcloneTarget(options: RcloneTargetOptions): Promise<TargetSession> {
  const { rc, fs, signal } = options;
  const answer = rc.call('operations/fsinfo', { fs }, signal).catch((error: unknown) => {
    throw rootError('asking what the target can do', error);
  });
  const info = fsInfo.parse(await answer);
  const server = await ContentServer.open();
  return new RcloneTarget(options, server, {
    keepsTimes: info.Precision < longestPrecisionNs,
    isCaseInsensitive: info.Features.CaseInsensitive ?? false,
  });
}

class RcloneTarget implements TargetSession {
  readonly abilities: TargetAbilities;
  readonly writesInFlight = writesInFlight;
  readonly #options: RcloneTargetOptions;
  readonly #server: ContentServer;
  readonly #foldsCase: boolean;
  readonly #listings = new Map<string, Promise<Listing | null>>();

  constructor(
    options: RcloneTargetOptions,
    server: ContentServer,
    { keepsTimes, isCaseInsensitive }: { readonly keepsTimes: boolean; readonly isCaseInsensitive: boolean },
  ) {
    this.#options = options;
    this.#server = server;
    this.#foldsCase = isCaseInsensitive;
    this.abilities = { symlinks: false, modes: false, mtimes: keepsTimes };
  }

  async stat(path: Buffer): Promise<TargetStat | null> {
    const remote = remoteOf(path);
    if (remote === '')
      return (await this.#list('')) === null ? null : { type: 'directory', sizeBytes: 0, mtimeNs: null };
    const found = (await this.#list(directoryOf(remote)))?.get(this.#keyOf(remote));
    if (found === undefined) return null;
    const type = found.isDirectory ? 'directory' : 'file';
    const mtimeNs = found.mtime === null ? null : nanosecondsOf(found.mtime);
    return { type, sizeBytes: Math.max(0, found.sizeBytes), mtimeNs };
  }

  async makeDirectory(path: Buffer): Promise<void> {
    const { rc, fs, signal } = this.#options;
    await ofItem('making a directory', rc.call('operations/mkdir', { fs, remote: remoteOf(path) }, signal));
  }

  async writeFile(entry: SourceEntry, content: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
    const { rc, fs } = this.#options;
    const remote = remoteOf(entry.path);
    const temporary = this.#temporaryName(remote);
    const { sizeBytes, mtimeNs } = entry;
    try {
      await this.#server.offer({ content, sizeBytes, mtimeNs }, async (url) => {
        await ofItem('writing', rc.call('operations/copyurl', { fs, remote: temporary, url }, signal));
      });
      const move = { srcFs: fs, srcRemote: temporary, dstFs: fs, dstRemote: remote, _config: { IgnoreTimes: true } };
      await ofItem('moving it into place', rc.call('operations/movefile', move, signal));
    } catch (error) {
      // Where the target does not answer it stays; a later attempt of the run has the same name for it.
      if (!isAway(error)) await deleteFile(rc, fs, temporary, AbortSignal.timeout(cleanUpMs)).catch(() => undefined);
      throw error;
    }
  }

  async makeSymlink(): Promise<void> {
    throw new TargetItemError('the target takes no symbolic links');
  }

  async finishDirectory(): Promise<void> {
    // Neither modes nor times of directories are kept.
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  /** Null when there is no such directory. A directory at a time, as looking at one file of it lists it too. */
  #list(directory: string): Promise<Listing | null> {
    const known = this.#listings.get(directory);
    if (known !== undefined) return known;
    if (this.#listings.size >= rememberedDirectories) this.#listings.clear();
    const listing = this.#listNow(directory);
    this.#listings.set(directory, listing);
    return listing;
  }

  async #listNow(remote: string): Promise<Listing | null> {
    const { rc, fs, signal } = this.#options;
    const request = { fs, remote, recursive: false, filesOnly: false, withMtime: true, withHashes: false };
    try {
      const list = await listObjects(rc, request, signal);
      return new Map(list.map((item) => [this.#keyOf(item.path), item]));
    } catch (error) {
      if (error instanceof RcError && /directory not found/i.test(error.words)) return null;
      throw remote === '' ? rootError('listing the target', error) : itemError('listing a directory', error);
    }
  }

  #keyOf(remote: string): string {
    return this.#foldsCase ? remote.toLowerCase() : remote;
  }

  /** Always the same for one path and run, so that what a killed attempt left is replaced. */
  #temporaryName(remote: string): string {
    const hash = createHash('sha256').update(remote).digest('hex').slice(0, 16);
    const directory = directoryOf(remote);
    return `${directory}${directory === '' ? '' : '/'}.xvault-${this.#options.tag}-${hash}`;
  }
}

function remoteOf(path: Buffer): string {
  const text = path.toString();
  if (!Buffer.from(text).equals(path)) throw new TargetItemError('the name is not UTF-8');
  return text === '.' ? '' : toStandardName(text);
}

function directoryOf(remote: string): string {
  return remote.slice(0, Math.max(0, remote.lastIndexOf('/')));
}

async function ofItem<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw itemError(what, error);
  }
}

/** What rclone says of one path, as an error of that path where the others may go on. */
function itemError(what: string, error: unknown): unknown {
  if (!(error instanceof RcError)) return error;
  const isItem = isItemError(classify(error.words));
  return isItem ? new TargetItemError(`${what}: ${error.words}`, { cause: error }) : wholeError(what, error);
}

function rootError(what: string, error: unknown): unknown {
  if (!(error instanceof RcError && isItemError(classify(error.words)))) return wholeError(what, error);
  return new XVaultError('RESTORE_TARGET_INVALID', { detail: `${what}: ${error.words}`.slice(0, 2000), cause: error });
}

function wholeError(what: string, error: unknown): unknown {
  if (!(error instanceof RcError)) return error;
  const { event, source } = classify(error.words);
  const detail = `${what} at the target: ${error.words}`.slice(0, 2000);
  return new XVaultError(event === 'ERROR_STORAGE_FULL' ? 'STORAGE_FULL' : source, { detail, cause: error });
}

function isAway(error: unknown): boolean {
  return error instanceof XVaultError && error.cause instanceof RcError && error.code !== 'STORAGE_FULL';
}
