import type { SkippedItem, SourceEntry } from '../connector.ts';
import { isSkipped } from '../connector.ts';
import { skip, toEntry, typeOf } from './entries.ts';
import { realPath, stat } from './operations.ts';
import { SftpStatusError } from './status.ts';
import type { SftpWire } from './wire.ts';

type Item = SourceEntry | SkippedItem;
const slash = 0x2f;

/** Puts what symlinks point at in their place, and cuts loops. */
export class LinkFollower {
  readonly #rootReal: Buffer;
  /** Real paths of the directories that were entered through a symlink, by their path in the listing. */
  readonly #followed = new Map<string, Buffer>();

  constructor(rootReal: Buffer) {
    this.#rootReal = rootReal;
  }

  follow(
    wire: SftpWire,
    items: readonly Item[],
    remote: (path: Buffer) => Buffer,
    signal: AbortSignal,
  ): Promise<Item[]> {
    return Promise.all(
      items.map((item) =>
        isSkipped(item) || item.type !== 'symlink' ? item : this.#resolve(wire, item, remote(item.path), signal),
      ),
    );
  }

  async #resolve(wire: SftpWire, link: SourceEntry, remote: Buffer, signal: AbortSignal): Promise<Item> {
    try {
      const attrs = await stat(wire, remote, signal);
      const type = typeOf(attrs);
      if (type === 'file') return toEntry(link.path, type, attrs);
      if (type !== 'directory') return skip(link.path, 'ITEM_UNSUPPORTED', 'leads to no file or directory');
      const real = Buffer.from(await realPath(wire, remote, signal));
      if (this.#realAncestors(link.path).some((ancestor) => ancestor.equals(real))) {
        return skip(link.path, 'ITEM_UNSUPPORTED', 'a symlink to a directory that it is in');
      }
      this.#followed.set(link.path.toString('latin1'), real);
      return toEntry(link.path, type, attrs);
    } catch (error) {
      if (!(error instanceof SftpStatusError)) throw error;
      // It leads nowhere: the link itself is what there is to keep.
      return link;
    }
  }

  /** Real paths of the directories that a path is in, the root first. */
  #realAncestors(path: Buffer): Buffer[] {
    const reals = [this.#rootReal];
    let from = 0;
    for (let end = path.indexOf(slash); end !== -1; end = path.indexOf(slash, from)) {
      const followed = this.#followed.get(path.toString('latin1', 0, end));
      const parent = reals.at(-1) ?? this.#rootReal;
      reals.push(followed ?? Buffer.concat([parent, Buffer.from('/'), path.subarray(from, end)]));
      from = end + 1;
    }
    return reals;
  }
}
