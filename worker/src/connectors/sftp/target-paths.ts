import { TargetItemError, type TargetStat } from '../target.ts';
import { makeDirectory } from './changes.ts';
import { joinPath, typeOf } from './entries.ts';
import type { SftpLinks } from './link.ts';
import { lstat, stat } from './operations.ts';
import type { Attrs } from './packets.ts';
import { SftpStatusError, statusCode } from './status.ts';
import type { SftpWire } from './wire.ts';

/** Directories that are known to be no symlinks; forgotten together when there are more. */
const rememberedDirectories = 50_000;
const slash = 0x2f;

/** Where things are on the server, with no symlink followed below the root. */
export class TargetPaths {
  readonly #links: SftpLinks;
  readonly #root: Buffer;
  readonly #signal: AbortSignal;
  readonly #known = new Set<string>();

  constructor(links: SftpLinks, root: Buffer, signal: AbortSignal) {
    this.#links = links;
    this.#root = root;
    this.#signal = signal;
  }

  remote(path: Buffer): Buffer {
    return isRoot(path) ? this.#root : joinPath(this.#root, path);
  }

  async stat(path: Buffer): Promise<TargetStat | null> {
    if (!isRoot(path) && !(await this.#hasParents(path))) return null;
    const attrs = await this.#look(path);
    if (!attrs) return null;
    const type = typeOf(attrs);
    const known = type === 'file' || type === 'directory' || type === 'symlink' ? type : 'other';
    return { type: known, sizeBytes: known === 'file' ? (attrs.sizeBytes ?? 0) : 0, mtimeNs: attrs.mtimeNs };
  }

  /** The path on the server of something whose parents are directories. Throws TargetItemError. */
  async inDirectories(path: Buffer): Promise<Buffer> {
    if (!(await this.#hasParents(path))) throw new TargetItemError('a directory above it is missing');
    return this.remote(path);
  }

  /** The same of something that a file may replace. */
  async replaceable(path: Buffer): Promise<Buffer> {
    const remote = await this.inDirectories(path);
    const attrs = await this.#look(path);
    if (attrs && typeOf(attrs) === 'directory') throw new TargetItemError('a directory is in its place');
    return remote;
  }

  /** The same of a directory itself. */
  async directory(path: Buffer): Promise<Buffer> {
    if (!isRoot(path) && !((await this.#hasParents(path)) && (await this.#isDirectory(path)))) {
      throw new TargetItemError('there is no such directory');
    }
    return this.remote(path);
  }

  async makeDirectory(path: Buffer): Promise<void> {
    if (!this.#known.has('.')) await this.#makeRoot();
    for (const part of isRoot(path) ? [] : [...parentsOf(path), path]) {
      if (await this.#isDirectory(part)) continue;
      const making = this.#run((wire) => makeDirectory(wire, this.remote(part)));
      try {
        await making;
        this.#remember(part);
      } catch (error) {
        // Another task may have made it meanwhile.
        if (error instanceof SftpStatusError && (await this.#isDirectory(part))) continue;
        throw asItemError('a directory could not be made', error);
      }
    }
  }

  /** Above the root, what stands there is the customer's and may be symlinks. */
  async #makeRoot(): Promise<void> {
    const exists = (path: Buffer) =>
      this.#run((wire) => stat(wire, path, this.#signal)).then(
        (attrs) => typeOf(attrs) !== 'file',
        (error: unknown) => {
          if (error instanceof SftpStatusError) return false;
          throw error;
        },
      );
    for (const path of [...parentsOf(this.#root).filter(({ length }) => length > 0), this.#root]) {
      if (await exists(path)) continue;
      const making = this.#run((wire) => makeDirectory(wire, path));
      await making.catch(async (error: unknown) => {
        if (!(error instanceof SftpStatusError && (await exists(path)))) {
          throw asItemError('the root could not be made', error);
        }
      });
    }
    this.#remember(Buffer.from('.'));
  }

  /** False when one is missing. Throws TargetItemError when one is something else than a directory. */
  async #hasParents(path: Buffer): Promise<boolean> {
    const parents = parentsOf(path);
    const parent = parents.at(-1);
    if (!parent || this.#known.has(keyOf(parent))) return true;
    for (const part of parents) if (!(await this.#isDirectory(part))) return false;
    return true;
  }

  /** False when nothing is there. */
  async #isDirectory(path: Buffer): Promise<boolean> {
    if (this.#known.has(keyOf(path))) return true;
    const attrs = await this.#look(path);
    if (!attrs) return false;
    const type = typeOf(attrs);
    if (type !== 'directory') throw new TargetItemError(`a ${type} stands where a directory is needed`);
    this.#remember(path);
    return true;
  }

  async #look(path: Buffer): Promise<Attrs | undefined> {
    const look = isRoot(path) ? stat : lstat;
    try {
      return await this.#run((wire) => look(wire, this.remote(path), this.#signal));
    } catch (error) {
      if (error instanceof SftpStatusError && error.status === statusCode.noSuchFile) return undefined;
      throw asItemError('it could not be looked at', error);
    }
  }

  #run<T>(task: (wire: SftpWire) => Promise<T>): Promise<T> {
    return this.#links.run(({ wire }) => task(wire), this.#signal);
  }

  #remember(path: Buffer): void {
    if (this.#known.size >= rememberedDirectories) this.#known.clear();
    this.#known.add(keyOf(path));
  }
}

/** What a promise throws as a refusal of the server, as an error of this one path. */
export async function itemError<T>(what: string, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw asItemError(what, error);
  }
}

function asItemError(what: string, error: unknown): unknown {
  return error instanceof SftpStatusError ? new TargetItemError(`${what}: ${error.message}`, { cause: error }) : error;
}

function isRoot(path: Buffer): boolean {
  return path.length === 1 && path[0] === 0x2e;
}

function keyOf(path: Buffer): string {
  return path.toString('latin1');
}

/** The directories that a path is in, the highest first. */
function parentsOf(path: Buffer): Buffer[] {
  const parents: Buffer[] = [];
  for (let at = path.indexOf(slash); at !== -1; at = path.indexOf(slash, at + 1)) parents.push(path.subarray(0, at));
  return parents;
}
