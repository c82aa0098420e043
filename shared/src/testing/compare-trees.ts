import { type FileHandle, open, readdir, readlink } from 'node:fs/promises';
import { type EntryKind, inspect, type TreeEntry } from './tree-entry.ts';

export interface TreeComparison {
  readonly files: number;
  readonly bytes: number;
  readonly entries: number;
  /** Sockets, pipes and devices of the first tree: a backup leaves them out. */
  readonly leftOut: number;
  /** One sentence per difference, at most `limit`; empty when the trees are equal. */
  readonly differences: readonly string[];
}

export interface CompareOptions {
  /** Compare owner and group too; wants both trees made by root. */
  readonly owners?: boolean;
  /** Differences to collect before it gives up. */
  readonly limit?: number;
}

const separator = Buffer.from('/');
const chunkBytes = 1 << 20;

/**
 * Compares two directories entry by entry, by names of raw bytes: type, content, mode, mtime in nanoseconds, symlink
 * targets, and which names are hard links of each other. The two directories' own attributes are not compared.
 */
export async function compareTrees(
  first: string,
  second: string,
  options: CompareOptions = {},
): Promise<TreeComparison> {
  const walk = new Walk(options);
  await walk.directory(Buffer.from(first), Buffer.from(second), Buffer.alloc(0));
  return walk.result();
}

class Walk {
  readonly #owners: boolean;
  readonly #limit: number;
  readonly #differences: string[] = [];
  /** First name of each inode with several names, on either side. */
  readonly #links = [new Map<string, string>(), new Map<string, string>()] as const;
  #counts = { files: 0, bytes: 0, entries: 0, leftOut: 0 };

  constructor(options: CompareOptions) {
    this.#owners = options.owners ?? false;
    this.#limit = options.limit ?? 20;
  }

  result(): TreeComparison {
    return { ...this.#counts, differences: this.#differences };
  }

  async directory(first: Buffer, second: Buffer, path: Buffer): Promise<void> {
    const [left, right] = await Promise.all([namesIn(first), namesIn(second)]);
    for (const [key, name] of left) {
      if (this.#differences.length >= this.#limit) return;
      const inside = path.length === 0 ? name : Buffer.concat([path, separator, name]);
      const a = await inspect(Buffer.concat([first, separator, name]));
      if (a.kind === 'special') {
        this.#counts.leftOut += 1;
      } else if (!right.has(key)) {
        this.#differ(inside, 'is missing');
      } else {
        await this.#entry(a, await inspect(Buffer.concat([second, separator, name])), inside);
      }
    }
    for (const [key, name] of right) {
      if (!left.has(key)) this.#differ(Buffer.concat([path, separator, name]), 'is not in the original');
    }
  }

  async #entry(a: TreeEntry, b: TreeEntry, path: Buffer): Promise<void> {
    this.#counts.entries += 1;
    if (a.kind !== b.kind) return this.#differ(path, `is a ${a.kind}, became a ${b.kind}`);
    // Linux symlinks have no mode of their own.
    if (a.kind !== 'symlink' && a.mode !== b.mode) this.#differ(path, `mode ${octal(a.mode)}, became ${octal(b.mode)}`);
    if (a.mtimeNs !== b.mtimeNs) this.#differ(path, `mtime ${a.mtimeNs} ns, became ${b.mtimeNs} ns`);
    if (this.#owners && a.owner !== b.owner) this.#differ(path, `owner ${a.owner}, became ${b.owner}`);
    await this.#contents(a.kind, a, b, path);
  }

  async #contents(kind: EntryKind, a: TreeEntry, b: TreeEntry, path: Buffer): Promise<void> {
    if (kind === 'directory') return this.directory(a.path, b.path, path);
    if (kind === 'symlink') {
      const [left, right] = await Promise.all([readlink(a.path, 'buffer'), readlink(b.path, 'buffer')]);
      if (!left.equals(right)) this.#differ(path, 'points elsewhere');
      return;
    }
    this.#counts.files += 1;
    this.#counts.bytes += a.size;
    const names = path.toString('latin1');
    const [firstA, firstB] = [firstName(this.#links[0], a, names), firstName(this.#links[1], b, names)];
    if (firstA !== firstB) this.#differ(path, 'is not a hard link of the same file');
    if (a.size !== b.size) this.#differ(path, `size ${a.size}, became ${b.size}`);
    else if (firstA === names && !(await sameBytes(a.path, b.path))) this.#differ(path, 'has other contents');
  }

  #differ(path: Buffer, what: string): void {
    if (this.#differences.length < this.#limit) this.#differences.push(`${JSON.stringify(path.toString())} ${what}`);
  }
}

async function namesIn(directory: Buffer): Promise<Map<string, Buffer>> {
  const names = await readdir(directory, 'buffer');
  return new Map(names.sort(Buffer.compare).map((name) => [name.toString('latin1'), name]));
}

function firstName(links: Map<string, string>, entry: TreeEntry, name: string): string {
  if (entry.inode === null) return name;
  const first = links.get(entry.inode);
  if (first === undefined) links.set(entry.inode, name);
  return first ?? name;
}

async function sameBytes(first: Buffer, second: Buffer): Promise<boolean> {
  const a = await open(first, 'r');
  try {
    const b = await open(second, 'r');
    try {
      return await sameContents(a, b);
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}

async function sameContents(a: FileHandle, b: FileHandle): Promise<boolean> {
  const [left, right] = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)];
  for (let position = 0; ; ) {
    const [{ bytesRead: readA }, { bytesRead: readB }] = await Promise.all([
      a.read(left, 0, chunkBytes, position),
      b.read(right, 0, chunkBytes, position),
    ]);
    if (readA !== readB || !left.subarray(0, readA).equals(right.subarray(0, readB))) return false;
    if (readA === 0) return true;
    position += readA;
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
