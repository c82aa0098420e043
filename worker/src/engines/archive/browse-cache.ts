import { PathHash } from './browse-hash.ts';
import { IndexMap } from './browse-map.ts';

const defaultMaxBytes = 64 * 1024 * 1024;

/** The maps of the indexes that were browsed last, up to a number of bytes. In memory only: nothing of it outlives the worker. */
export class BrowseCache {
  readonly hash = new PathHash();
  readonly #maxBytes: number;
  /** In the order of their use. */
  readonly #maps = new Map<string, IndexMap>();

  constructor(maxBytes = defaultMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  get byteLength(): number {
    let sum = 0;
    for (const map of this.#maps.values()) sum += map.byteLength;
    return sum;
  }

  /** The map of an index, by what its stored bytes hash to. It grows while it is used: call `trim` afterwards. */
  open(indexSha256: string): IndexMap {
    const map = this.#maps.get(indexSha256) ?? new IndexMap();
    this.#maps.delete(indexSha256);
    this.#maps.set(indexSha256, map);
    return map;
  }

  /** Lets go of those that were not used for longest. */
  trim(): void {
    let bytes = this.byteLength;
    for (const [key, map] of this.#maps) {
      if (bytes <= this.#maxBytes) return;
      this.#maps.delete(key);
      bytes -= map.byteLength;
    }
  }
}
