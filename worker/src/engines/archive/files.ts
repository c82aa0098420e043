import type { FileSearch } from '@xvault/shared/browse.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileEntry } from '@xvault/shared/run-kinds.ts';
import type { IndexEntry } from '../../artifact/entry.ts';
import type { FrameReader } from '../../artifact/frame-reader.ts';
import { pathToText, textToPath } from '../../artifact/path-text.ts';
import type { BrowseCache } from './browse-cache.ts';
import type { PathHash } from './browse-hash.ts';
import { type IndexLine, type LinePlace, scanLines } from './browse-lines.ts';
import type { IndexMap } from './browse-map.ts';
import { type LineTest, searchTest } from './browse-search.ts';

export interface ListFilesOptions {
  /** Of the index. */
  readonly frames: FrameReader;
  /** Names the index in the cache. */
  readonly indexSha256: string;
  readonly cache: BrowseCache;
  /** Snapshot path as text; '' is the root. */
  readonly path: string;
  /** All below the path, instead of its direct children. A search is always recursive. */
  readonly recursive: boolean;
  /** What is looked for below the path; null lists all. */
  readonly search: FileSearch | null;
  /** Index line to go on from: 0, or the `nextOffset` of the page before. */
  readonly offset: number;
  readonly limit: number;
  /** After that the page ends where it is, unless it would be empty; by default soon enough for people. */
  readonly patienceMs?: number;
  readonly signal: AbortSignal;
}

export interface FilePage {
  readonly entries: FileEntry[];
  /** Index line of the next match; null at the end. */
  readonly nextOffset: number | null;
}

/**
 * What lies in a directory of a snapshot, in the order of the index; of anything but a directory, itself. Reads the index
 * no further than the page is full or patience ends, and of what was read before only the lines of that directory. A page
 * may thus have less than its limit and be followed by others. Throws NOT_FOUND when the snapshot has no such path.
 */
export async function listFiles(options: ListFilesOptions): Promise<FilePage> {
  const bytes = textToPath(options.path.replace(/\/$/, ''));
  if (bytes === undefined) throw notFound(options.path);
  const base = bytes.length === 1 && bytes[0] === 0x2e ? Buffer.alloc(0) : bytes;
  const test = options.search === null ? null : searchTest(options.search);
  const walk = new IndexWalk(options);
  try {
    if (test === null && !options.recursive) return await listDirectory(options, walk, base);
    return await listBelow(options, walk, base, test);
  } finally {
    options.cache.trim();
  }
}

const defaultPatienceMs = 600;
/** Looking at the clock at each line would take longer than the line. */
const linesPerLook = 1024;

/** Gathers a page and the line that comes after it. */
class PageBuilder {
  readonly entries: FileEntry[] = [];
  nextOffset: number | null = null;
  readonly #limit: number;
  readonly #endsAtMs: number;
  #passed = 0;

  constructor({ limit, patienceMs = defaultPatienceMs }: ListFilesOptions) {
    this.#limit = limit;
    this.#endsAtMs = performance.now() + patienceMs;
  }

  /** True when it took so long that what was found must do. To be asked at each line that is not added. */
  passes(line: IndexLine): boolean {
    this.#passed += 1;
    if (this.#passed % linesPerLook > 0 || !this.#isLate) return false;
    this.nextOffset = line.line;
    return true;
  }

  /** True when the page has ended and it is known what comes after it. */
  add(line: IndexLine): boolean {
    if (this.entries.length < this.#limit && !this.#isLate) {
      this.entries.push(toFileEntry(line.entry));
      return false;
    }
    this.nextOffset = line.line;
    return true;
  }

  get #isLate(): boolean {
    return this.entries.length > 0 && performance.now() >= this.#endsAtMs;
  }

  get page(): FilePage {
    return { entries: this.entries, nextOffset: this.nextOffset };
  }
}

/** Reads lines of an index; what is read for the first time is put on the map. */
class IndexWalk {
  readonly map: IndexMap;
  readonly hash: PathHash;
  readonly #frames: FrameReader;
  readonly #signal: AbortSignal;

  constructor({ frames, cache, indexSha256, signal }: ListFilesOptions) {
    this.map = cache.open(indexSha256);
    this.hash = cache.hash;
    this.#frames = frames;
    this.#signal = signal;
  }

  /** Lines from `from` to the end of the index. */
  async toEnd(from: LinePlace, visit: (line: IndexLine) => boolean): Promise<void> {
    const end = this.#frames.contentBytes;
    let stopped = false;
    await scanLines(this.#frames, this.hash, { from, end, signal: this.#signal }, (line) => {
      this.map.record(line);
      stopped = visit(line);
      return stopped;
    });
    if (!stopped) this.map.finish(end);
  }

  /**
   * Lines of a directory from the line `first` on: those on the map by themselves, then by reading on where the map ends.
   * Resolves to whether it was stopped.
   */
  async ofDirectory(
    path: Buffer,
    first: number,
    visit: (line: IndexLine) => boolean,
    pass: (line: IndexLine) => boolean = () => false,
  ): Promise<boolean> {
    const hash = this.hash.of(path);
    let [next, runIndex] = [first, 0];
    let stopped = false;
    const take = (line: IndexLine): boolean => {
      if (line.line < next) return false;
      // Another directory may have the same hash.
      const isIn = line.parentHash === hash && !line.isRoot && isParent(path, line.path);
      stopped = isIn ? visit(line) : pass(line);
      return stopped;
    };
    while (!stopped) {
      const run = this.map.usable ? this.map.find(hash, next, runIndex) : undefined;
      if (run === undefined) break;
      const mark = this.map.before(next);
      const from = mark.line > run.line ? mark : run;
      await scanLines(this.#frames, this.hash, { from, end: run.end, signal: this.#signal }, take);
      // The last run may have grown meanwhile, so it is looked at again.
      [next, runIndex] = [run.line + run.lines, run.index];
    }
    if (stopped || (this.map.usable && this.map.complete)) return stopped;
    await this.toEnd(this.map.usable ? this.map.frontier : this.map.before(next), take);
    return stopped;
  }
}

async function listDirectory(options: ListFilesOptions, walk: IndexWalk, base: Buffer): Promise<FilePage> {
  const page = new PageBuilder(options);
  await walk.ofDirectory(
    base,
    options.offset,
    (line) => page.add(line),
    (line) => page.passes(line),
  );
  if (page.entries.length > 0 || options.offset > 0 || base.length === 0) return page.page;
  // Nothing in it: an empty directory, or no directory, or nothing at all.
  let found: IndexEntry | undefined;
  await walk.ofDirectory(parentPath(base), 0, (line) => {
    if (line.path.equals(base)) found = line.entry;
    return found !== undefined;
  });
  if (found === undefined) throw notFound(options.path);
  return { entries: found.type === 'directory' ? [] : [toFileEntry(found)], nextOffset: null };
}

async function listBelow(
  options: ListFilesOptions,
  walk: IndexWalk,
  base: Buffer,
  test: LineTest | null,
): Promise<FilePage> {
  const page = new PageBuilder(options);
  let pathSeen = options.offset > 0 || base.length === 0;
  const isBelow = (line: IndexLine): boolean => {
    if (line.line < options.offset || line.isRoot) return false;
    if (base.length === 0) return true;
    const { path } = line;
    if (!startsWith(path, base) || (path.length > base.length && path[base.length] !== slash)) return false;
    pathSeen = true;
    return path.length > base.length || line.entry.type !== 'directory';
  };
  await walk.toEnd(walk.map.before(options.offset), (line) => {
    const isFound = isBelow(line) && (test === null || test(line));
    return isFound ? page.add(line) : page.passes(line);
  });
  if (!pathSeen) throw notFound(options.path);
  return page.page;
}

const slash = 0x2f;

function startsWith(path: Buffer, base: Buffer): boolean {
  return path.length >= base.length && path.compare(base, 0, base.length, 0, base.length) === 0;
}

/** Whether the path lies directly in the directory. */
function isParent(directory: Buffer, path: Buffer): boolean {
  const at = path.lastIndexOf(slash);
  return Math.max(at, 0) === directory.length && startsWith(path, directory);
}

function parentPath(path: Buffer): Buffer {
  return path.subarray(0, Math.max(path.lastIndexOf(slash), 0));
}

function notFound(path: string): XVaultError {
  return new XVaultError('NOT_FOUND', { params: { path } });
}

export function toFileEntry(entry: IndexEntry): FileEntry {
  return {
    path: pathToText(entry.path),
    type: entry.type,
    size_bytes: entry.sizeBytes - entry.paddingBytes,
    mode: entry.mode.toString(8).padStart(4, '0'),
    uid: entry.uid,
    gid: entry.gid,
    mtime: formatMtime(entry.mtimeNs),
    link_target: entry.linkTarget === null ? null : pathToText(entry.linkTarget),
    sha256: entry.sha256,
    ...(entry.attributes && { attributes: { ...entry.attributes } }),
  };
}

const nsPerSecond = 1_000_000_000n;
/** 9999-12-31T23:59:59Z and 0000-01-01T00:00:00Z: RFC 3339 has four digits for the year. */
const maxSeconds = 253_402_300_799n;
const minSeconds = -62_167_219_200n;

/** RFC 3339 in UTC with nine digits of fraction. Times that RFC 3339 cannot say become the nearest that it can. */
export function formatMtime(mtimeNs: bigint): string {
  const fraction = ((mtimeNs % nsPerSecond) + nsPerSecond) % nsPerSecond;
  const seconds = (mtimeNs - fraction) / nsPerSecond;
  const said = seconds > maxSeconds ? maxSeconds : seconds < minSeconds ? minSeconds : seconds;
  const whole = new Date(Number(said) * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(fraction).padStart(9, '0')}Z`;
}
