import { TargetItemError, type TargetStat } from '../target.ts';
import { isRefusal } from './errors.ts';
import { isBroken, type ListedItem } from './listing.ts';
import { type FtpEncoding, nameFromWire } from './names.ts';
import type { FtpPool } from './pool.ts';
import { itemErrors } from './target-errors.ts';

export interface TargetDirectoriesOptions {
  readonly pool: FtpPool;
  readonly root: Buffer;
  readonly encoding: FtpEncoding;
  /** Throws TargetItemError where the protocol cannot carry it. */
  readonly wireOf: (path: Buffer) => string;
  readonly signal: AbortSignal;
}

type Found = Pick<ListedItem, 'type' | 'sizeBytes'>;

/** Directories whose content is kept. */
const keptListings = 200;
const rootPath = Buffer.from('.');

/**
 * What is in a target's directories, as its server lists them: that is the one way to see a link as a link. A server that
 * shows links as what they lead to cannot be seen through.
 */
export class TargetDirectories {
  readonly #options: TargetDirectoriesOptions;
  /** Names in each directory, by its path; null where there is none. */
  readonly #listings = new Map<string, Promise<Map<string, Found> | null>>();
  readonly #making = new Map<string, Promise<void>>();

  constructor(options: TargetDirectoriesOptions) {
    this.#options = options;
  }

  async stat(path: Buffer): Promise<TargetStat | null> {
    const { pool, wireOf, signal } = this.#options;
    const found = await this.#find(path);
    if (found === undefined) return null;
    const { type, sizeBytes } = found;
    const asksTime = type === 'file';
    const mtimeNs = asksTime
      ? await itemErrors(() => pool.retrying(signal, (connection) => connection.mtimeNs(wireOf(path))))
      : null;
    return { type, sizeBytes: type === 'file' ? sizeBytes : 0, mtimeNs };
  }

  /** Throws TargetItemError unless all above it are directories and no links. */
  async requireParents(path: Buffer): Promise<void> {
    for (const parent of parentsOf(path)) {
      const found = await this.#find(parent);
      if (found?.type !== 'directory') throw new TargetItemError('what is above it is no directory');
    }
  }

  async make(path: Buffer): Promise<void> {
    await this.#makeOnce(rootPath, () => this.#makeRoot());
    if (isRoot(path)) return;
    for (const directory of [...parentsOf(path), path]) {
      await this.#makeOnce(directory, () => this.#makeOne(directory));
    }
  }

  /** A file is there now. */
  written(path: Buffer, sizeBytes: number): void {
    void this.#note(path, { type: 'file', sizeBytes });
  }

  /** Several files may want the same directory at the same time. */
  #makeOnce(path: Buffer, make: () => Promise<void>): Promise<void> {
    const key = path.toString('latin1');
    const known = this.#making.get(key);
    if (known !== undefined) return known;
    const making = make();
    this.#making.set(key, making);
    making.catch(() => this.#making.delete(key));
    return making;
  }

  async #makeOne(path: Buffer): Promise<void> {
    const { pool, wireOf, signal } = this.#options;
    const found = await this.#find(path);
    if (found?.type === 'directory') return;
    if (found !== undefined) throw new TargetItemError('something that is no directory is there');
    await itemErrors(() => pool.use(signal, (connection) => connection.command(`MKD ${wireOf(path)}`)));
    await this.#note(path, { type: 'directory', sizeBytes: 0 });
    this.#listings.set(path.toString('latin1'), Promise.resolve(new Map()));
  }

  /** Above the root links are the customer's own matter. */
  async #makeRoot(): Promise<void> {
    const { pool, wireOf, signal } = this.#options;
    const wire = wireOf(rootPath);
    await itemErrors(() =>
      pool.retrying(signal, async (connection) => {
        const enters = (path: string) =>
          connection.command(`CWD ${path}`).then(
            () => true,
            (error: unknown) => {
              if (!isRefusal(error)) throw error;
              return false;
            },
          );
        if (await enters(wire)) return;
        this.#listings.delete(rootPath.toString('latin1'));
        const parts = wire.split('/').filter((part) => part !== '');
        for (let count = 1; count <= parts.length; count += 1) {
          const path = `/${parts.slice(0, count).join('/')}`;
          if (!(await enters(path))) await connection.command(`MKD ${path}`);
        }
      }),
    );
  }

  /** Undefined where nothing is. Throws TargetItemError where a link or a file is in the way. */
  async #find(path: Buffer): Promise<Found | undefined> {
    if (isRoot(path)) return (await this.#list(rootPath)) === null ? undefined : { type: 'directory', sizeBytes: 0 };
    const cut = path.lastIndexOf(0x2f);
    const parent = cut === -1 ? rootPath : path.subarray(0, cut);
    const above = await this.#find(parent);
    if (above === undefined) return undefined;
    if (above.type !== 'directory') throw new TargetItemError('what is above it is no directory');
    return (await this.#list(parent))?.get(path.toString('latin1', cut + 1));
  }

  #list(directory: Buffer): Promise<Map<string, Found> | null> {
    const key = directory.toString('latin1');
    const known = this.#listings.get(key);
    if (known !== undefined) return known;
    const listing = this.#ask(directory);
    if (this.#listings.size >= keptListings) this.#listings.clear();
    this.#listings.set(key, listing);
    listing.catch(() => this.#listings.delete(key));
    return listing;
  }

  async #ask(directory: Buffer): Promise<Map<string, Found> | null> {
    const { pool, encoding, wireOf, signal } = this.#options;
    try {
      const { items } = await pool.retrying(signal, (connection) => connection.list(wireOf(directory)));
      const found = new Map<string, Found>();
      for (const item of items) {
        if (!isBroken(item)) found.set(nameFromWire(item.name, encoding).toString('latin1'), item);
      }
      return found;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (isRoot(directory)) return null;
      throw new TargetItemError('a directory above it cannot be listed', { cause: error });
    }
  }

  async #note(path: Buffer, found: Found): Promise<void> {
    const cut = path.lastIndexOf(0x2f);
    const parent = cut === -1 ? rootPath : path.subarray(0, cut);
    const listing = await this.#listings.get(parent.toString('latin1'))?.catch(() => null);
    listing?.set(path.toString('latin1', cut + 1), found);
  }
}

function isRoot(path: Buffer): boolean {
  return path.length === 1 && path[0] === 0x2e;
}

/** From the top down, without the root and the path itself. */
function parentsOf(path: Buffer): Buffer[] {
  const parents: Buffer[] = [];
  for (let cut = path.indexOf(0x2f); cut !== -1; cut = path.indexOf(0x2f, cut + 1)) parents.push(path.subarray(0, cut));
  return parents;
}
