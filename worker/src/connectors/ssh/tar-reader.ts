import type { TarBytes } from './tar-bytes.ts';
import { BadTar, blockBytes, parseHeader, parsePax, parsePaxTime, type RawHeader, size } from './tar-fields.ts';

export interface TarEntry {
  /** As the archive has it, without a slash at its end. */
  readonly path: Buffer;
  readonly type: 'file' | 'hardlink' | 'symlink' | 'directory' | 'other';
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly linkTarget: Buffer;
}

/** Beyond any path, and beyond what a header has to say. */
const maxExtensionBytes = 1024 * 1024;
/** Headers that extend one entry, or the entries after them. */
const maxExtensions = 64;
const maxGlobalKeys = 64;

const types: Record<string, TarEntry['type']> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
  '3': 'other',
  '4': 'other',
  '6': 'other',
};

/** A tar archive (v7, ustar, pax, GNU) from front to back. Whatever is not understood is refused, not guessed. */
export class TarReader {
  readonly #bytes: TarBytes;
  readonly #global = new Map<string, Buffer>();
  /** Of the current entry: content and padding not yet taken. */
  #left = 0;
  #padding = 0;

  constructor(bytes: TarBytes) {
    this.#bytes = bytes;
  }

  /** The next entry, what is left of the one before passed over; undefined at the end. Throws BadTar, TruncatedStream. */
  async next(): Promise<TarEntry | undefined> {
    await this.#bytes.skip(this.#left + this.#padding);
    this.#left = 0;
    this.#padding = 0;
    const local = new Map<string, Buffer>();
    for (let extensions = 0; extensions <= maxExtensions; extensions += 1) {
      const header = parseHeader(await this.#bytes.take(blockBytes));
      if (!header) return this.#end(extensions);
      if (!(await this.#extend(header, local))) return this.#entry(header, local);
    }
    throw new BadTar('too many extended headers');
  }

  /** All content of the entry that {@link next} gave. */
  async content(): Promise<Buffer> {
    const length = this.#left;
    this.#left = 0;
    return this.#bytes.take(length);
  }

  /** The end is two blocks of zeros. */
  async #end(extensions: number): Promise<undefined> {
    const second = parseHeader(await this.#bytes.take(blockBytes));
    if (second || extensions > 0) throw new BadTar('an end that is none');
    return undefined;
  }

  /** Whether the block was about the next entry, or all that follow. */
  async #extend(header: RawHeader, local: Map<string, Buffer>): Promise<boolean> {
    const { type } = header;
    if (type !== 'x' && type !== 'g' && type !== 'L' && type !== 'K') return false;
    if (header.size > maxExtensionBytes) throw new BadTar('an extended header that is too long');
    const data = await this.#bytes.take(header.size);
    await this.#bytes.skip(paddingOf(header.size));
    if (type === 'L' || type === 'K') local.set(type === 'L' ? 'path' : 'linkpath', withoutNul(data));
    else for (const [key, value] of parsePax(data)) (type === 'g' ? this.#global : local).set(key, value);
    // These are kept to the end of the archive.
    if (this.#global.size > maxGlobalKeys) throw new BadTar('too many global headers');
    return true;
  }

  #entry(header: RawHeader, local: ReadonlyMap<string, Buffer>): TarEntry {
    const value = (key: string) => {
      const found = local.get(key) ?? this.#global.get(key);
      return found?.length === 0 ? undefined : found;
    };
    const whole = (key: string) => {
      const found = value(key);
      return found === undefined ? undefined : size(Number(found.toString('latin1')));
    };
    const type = types[header.type];
    if (type === undefined) throw new BadTar(`an entry of the unknown type ${JSON.stringify(header.type)}`);
    // Its content is a map of holes first, which nobody asked for.
    const sparse = [...local.keys()].some((key) => key.startsWith('GNU.sparse.'));
    const sizeBytes = whole('size') ?? header.size;
    const mtime = value('mtime');
    // A hard link may tell the size of what it leads to, and has no content.
    this.#left = type === 'file' ? sizeBytes : 0;
    if (type !== 'file' && type !== 'hardlink' && sizeBytes > 0) throw new BadTar('content where there can be none');
    this.#padding = paddingOf(this.#left);
    return {
      path: withoutSlash(value('GNU.sparse.name') ?? value('path') ?? header.name),
      type: sparse ? 'other' : type,
      sizeBytes: this.#left,
      mode: header.mode,
      uid: whole('uid') ?? header.uid,
      gid: whole('gid') ?? header.gid,
      mtimeNs: mtime === undefined ? BigInt(header.mtimeSeconds) * 1_000_000_000n : parsePaxTime(mtime),
      linkTarget: value('linkpath') ?? header.linkName,
    };
  }
}

function paddingOf(sizeBytes: number): number {
  return (blockBytes - (sizeBytes % blockBytes)) % blockBytes;
}

function withoutNul(data: Buffer): Buffer {
  const end = data.indexOf(0);
  return Buffer.from(end === -1 ? data : data.subarray(0, end));
}

function withoutSlash(path: Buffer): Buffer {
  return path.length > 1 && path.at(-1) === 0x2f ? path.subarray(0, -1) : path;
}
