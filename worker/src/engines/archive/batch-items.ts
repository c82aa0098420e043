import { isSkipped, type SourceEntry } from '../../connectors/connector.ts';
import { RecordReader, RecordWriter } from '../../native/records.ts';
import type { PackOperations } from '../../native/threads.ts';

/** Most items of a batch. */
export const mostItems = 2048;
const usualBytes = 64 * mostItems;
const noFile = -1;

/** A name of a file that has more than one. */
export interface LinkedName {
  /** Position in the batch. */
  readonly at: number;
  readonly key: string;
  /** The name that this one is stored as a hard link to; absent for the name that holds the content. */
  readonly firstName: Buffer | undefined;
}

/** Where the content of a file is that has a name already: the path, by the file's hard link key. */
export interface FirstNames {
  get(key: string): Buffer | undefined;
}

export interface FilesOf {
  readonly count: number;
  /** As they were listed. */
  readonly bytes: number;
  /** Position of the last one. */
  readonly last: number | undefined;
}

/**
 * Items that become one frame. They are kept as what native code reads, in memory that is used again: as objects they would be several
 * times as large, and live just long enough to fill the old generation with garbage.
 */
export class BatchItems {
  /** Names of files with several names, in order. */
  readonly linked: LinkedName[] = [];
  readonly #records = new RecordWriter(usualBytes);
  readonly #starts = new Uint32Array(mostItems);
  readonly #fileBytes = new Float64Array(mostItems);
  /** Position of the name that holds the content, by the file's key. */
  readonly #ownFirst = new Map<string, number>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A later name becomes a link to what `firstNames` says, else to the first one in here. */
  add(entry: SourceEntry, firstNames: FirstNames): void {
    const { type, sizeBytes, hardLinkKey: key } = entry;
    const at = this.#count;
    this.#starts[at] = this.#records.sizeBytes;
    this.#fileBytes[at] = type === 'file' ? sizeBytes : noFile;
    this.#count += 1;
    if (key === undefined || type !== 'file') {
      this.#records.item(entry);
      return;
    }
    const own = this.#ownFirst.get(key);
    const firstName = own === undefined ? firstNames.get(key) : this.at(own).path;
    this.linked.push({ at, key, firstName });
    if (firstName === undefined) this.#ownFirst.set(key, at);
    this.#records.item(
      firstName === undefined ? entry : { ...entry, type: 'hardlink', sizeBytes: 0, linkTarget: firstName },
    );
  }

  /** As it was listed. Its names are good until {@link clear}. */
  at(at: number): SourceEntry {
    if (at >= this.#count) throw new RangeError('no such item in the batch');
    const item = new RecordReader(this.#records.finish(), this.#starts[at]).item();
    if (isSkipped(item)) throw new Error('an item that was never added');
    const sizeBytes = this.#fileBytes[at] ?? noFile;
    if (sizeBytes === noFile) return item;
    // As a hard link it has another type, no size, and a target.
    const { linkTarget: _, ...file } = item;
    return { ...file, type: 'file', sizeBytes };
  }

  files(from: number, to: number): FilesOf {
    let [count, bytes, last]: [number, number, number | undefined] = [0, 0, undefined];
    for (let at = from; at < to; at += 1) {
      const listed = this.#fileBytes[at] ?? noFile;
      if (listed === noFile) continue;
      count += 1;
      bytes += listed;
      last = at;
    }
    return { count, bytes, last };
  }

  /** All of it for native code; the first `from` are passed over. */
  operations(from: number): PackOperations {
    return { records: this.#records.finish(), count: this.#count, from };
  }

  /** Begins anew in the same memory, when nobody looks at it any more. */
  clear(): void {
    this.#count = 0;
    this.linked.length = 0;
    this.#records.clear();
    this.#ownFirst.clear();
  }
}
