import { XVaultError } from '@xvault/shared/errors.ts';
import type { SkippedItem, SourceEntry } from '../connector.ts';
import { isRefusal, itemCodeOf, saidBy } from './errors.ts';
import { isBroken, type ListedItem, type ParsedListing } from './listing.ts';
import { type FtpEncoding, joinPath, nameFromWire, nameToWire } from './names.ts';
import type { FtpPool } from './pool.ts';

type Item = SourceEntry | SkippedItem;

/** Deeper than any tree that is meant: links to directories that the server hides lead round in circles. */
const maxDepth = 200;

export interface Directories {
  readonly pool: FtpPool;
  readonly encoding: FtpEncoding;
  /** On the server. */
  readonly root: Buffer;
}

/** Lists directories of one tree, and cuts circles where the server tells what is the same as what. */
export class DirectoryLister {
  readonly #source: Directories;
  /** The server's own ids of a directory and of those above it, by its path. */
  readonly #lineage = new Map<string, readonly string[]>();

  constructor(source: Directories) {
    this.#source = source;
  }

  async list(directory: SourceEntry, depth: number, signal: AbortSignal): Promise<readonly Item[]> {
    const { pool, encoding, root } = this.#source;
    const { path } = directory;
    const above = this.#lineage.get(path.toString('latin1')) ?? [];
    this.#lineage.delete(path.toString('latin1'));
    if (depth > maxDepth) return [skip(path, 'ITEM_UNSUPPORTED', 'nested too deeply: most likely links in a circle')];
    const wire = nameToWire(joinPath(root, path), encoding);
    if (wire === undefined) return [skip(path, 'ITEM_NAME_UNSUPPORTED', 'the protocol cannot carry this name')];
    let listing: ParsedListing;
    try {
      listing = await pool.retrying(signal, (connection) => connection.list(wire));
    } catch (error) {
      // The root was there a moment ago: without it there is nothing to back up.
      if (!isRefusal(error)) throw error;
      if (depth === 0) throw new XVaultError('SOURCE_READ_FAILED', { detail: saidBy(error), cause: error });
      return [skip(path, itemCodeOf(error), `cannot be listed: ${saidBy(error)}`)];
    }
    const items = listing.items.map((item): Item => {
      if (isBroken(item)) return skip(joinPath(path, this.#name(item.broken)), 'ITEM_NAME_UNSUPPORTED', 'its name');
      return this.#toItem(path, item, above);
    });
    return items.sort((a, b) => a.path.compare(b.path));
  }

  #toItem(directory: Buffer, item: ListedItem, above: readonly string[]): Item {
    const path = joinPath(directory, this.#name(item.name));
    if (item.type === 'other') return skip(path, 'ITEM_UNSUPPORTED', 'neither file, directory nor link');
    if (item.type === 'symlink' && item.linkTarget === undefined) {
      return skip(path, 'ITEM_UNSUPPORTED', 'a link of which the server does not say where it leads');
    }
    if (item.type === 'directory' && item.unique !== undefined) {
      if (above.includes(item.unique)) return skip(path, 'ITEM_UNSUPPORTED', 'a link to a directory above it');
      this.#lineage.set(path.toString('latin1'), [...above, item.unique]);
    }
    return {
      path,
      type: item.type,
      sizeBytes: item.type === 'file' ? item.sizeBytes : 0,
      mode: item.mode ?? (item.type === 'directory' ? 0o755 : 0o644),
      uid: item.uid,
      gid: item.gid,
      mtimeNs: item.mtimeNs,
      ...(item.linkTarget !== undefined && { linkTarget: this.#name(item.linkTarget) }),
    };
  }

  #name(wire: string): Buffer {
    return nameFromWire(wire, this.#source.encoding);
  }
}

export function skip(path: Buffer, skipped: SkippedItem['skipped'], detail: string): SkippedItem {
  return { path, skipped, detail };
}
