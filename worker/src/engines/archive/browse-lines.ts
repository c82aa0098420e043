import { XVaultError } from '@xvault/shared/errors.ts';
import type { IndexEntry } from '../../artifact/entry.ts';
import type { FrameReader } from '../../artifact/frame-reader.ts';
import { decodeIndexLine } from '../../artifact/index-line.ts';
import { parseFixedSeconds } from '../../artifact/mtime.ts';
import type { PathHash } from './browse-hash.ts';

/** A line of the index and where it begins in the index's content. */
export interface LinePlace {
  readonly line: number;
  readonly offset: number;
}

/** What follows a path in lines as they are written: the fields in this order. */
const briefPattern =
  /^","type":"(file|directory|symlink|hardlink)","size":(\d{1,15})(?:,"padding":(\d{1,15}))?(?:,"sparse":\d+)?,"mode":\d+,"uid":\d+,"gid":\d+,"mtime":"(-?\d{1,19}\.\d{9})"/;
const newline = 0x0a;
const quote = 0x22;
const backslash = 0x5c;
const slash = 0x2f;
/** `{"path":"`, with which a line begins whose name is UTF-8. */
const opening = Buffer.from('{"path":"');
/** Two names of 64 KiB, each byte escaped by JSON, and the rest. */
const maxLineBytes = 1024 * 1024;

/**
 * One line of the index, of which no more is decoded than is asked for: most lines are only passed by. The same object
 * is used for each line.
 */
export class IndexLine {
  bytes: Buffer = Buffer.alloc(0);
  /** Within `bytes`; the line break is not part of it. */
  start = 0;
  end = 0;
  line = 0;
  /** Of the line in the index's content. */
  offset = 0;
  /** Of the directory that holds the entry; that of the root for the root itself. */
  parentHash = 0;
  isRoot = false;
  /** Where the path ends when it stands in the line as it is; -1 when it must be decoded. */
  #plainEnd = -1;
  #path: Buffer | null = null;
  #entry: IndexEntry | null = null;

  /** Raw bytes; only until the next line. */
  get path(): Buffer {
    this.#path ??= this.bytes.subarray(this.start + opening.length, this.#plainEnd);
    return this.#path;
  }

  /** The path as text, where that is the path's own bytes; undefined where it must be written in another way. */
  get plainText(): string | undefined {
    return this.#plainEnd < 0 ? undefined : this.bytes.toString('utf8', this.start + opening.length, this.#plainEnd);
  }

  /** All of it. Throws ARTIFACT_CORRUPT. */
  get entry(): IndexEntry {
    this.#entry ??= decoded(this.bytes.toString('utf8', this.start, this.end), this.line);
    return this.#entry;
  }

  /** What a search asks for, mostly without decoding the rest. Throws ARTIFACT_CORRUPT. */
  get brief(): Pick<IndexEntry, 'type' | 'sizeBytes' | 'paddingBytes' | 'mtimeNs'> {
    if (this.#plainEnd < 0) return this.entry;
    const found = briefPattern.exec(this.bytes.toString('latin1', this.#plainEnd, this.end));
    if (found === null) return this.entry;
    const [, type = '', size = '', padding = '0', mtime = ''] = found;
    const sizes = { sizeBytes: Number(size), paddingBytes: Number(padding) };
    return { type: type as IndexEntry['type'], ...sizes, mtimeNs: parseFixedSeconds(mtime) };
  }

  /** Finds the path and the hash of its directory. */
  read(hash: PathHash): void {
    this.#entry = null;
    this.#path = null;
    this.#plainEnd = this.#scan(hash);
    if (this.#plainEnd >= 0) return;
    this.#path = this.entry.path;
    this.isRoot = this.#path.length === 1 && this.#path[0] === 0x2e;
    this.parentHash = hash.ofParent(this.#path);
  }

  #scan(hash: PathHash): number {
    const { bytes, end } = this;
    const first = this.start + opening.length;
    if (!opensPlainly(bytes, this.start)) return -1;
    hash.begin();
    let parent = hash.value;
    for (let at = first; at < end; at += 1) {
      const byte = bytes[at] ?? 0;
      if (byte === quote) {
        this.parentHash = parent;
        this.isRoot = at === first + 1 && bytes[first] === 0x2e;
        return at === first ? -1 : at;
      }
      if (byte === backslash) return -1;
      if (byte === slash) parent = hash.value;
      hash.add(byte);
    }
    return -1;
  }
}

/**
 * Visits the lines of an index in order, from the line at `from` to the content's offset `end`, in flat memory; `visit`
 * returns true to stop. Throws ARTIFACT_CORRUPT at a line that is damaged, the signal's reason when aborted.
 */
export async function scanLines(
  frames: FrameReader,
  hash: PathHash,
  { from, end, signal }: { readonly from: LinePlace; readonly end: number; readonly signal: AbortSignal },
  visit: (line: IndexLine) => boolean,
): Promise<void> {
  const view = new IndexLine();
  let { line, offset } = from;
  const visitLine = (bytes: Buffer, start: number, lineEnd: number): boolean => {
    view.bytes = bytes;
    view.start = start;
    view.end = lineEnd;
    view.line = line;
    view.offset = offset;
    view.read(hash);
    offset += lineEnd + 1 - start;
    line += 1;
    return visit(view);
  };
  // What a frame ends with, of a line that goes on in the next one.
  let rest: Buffer = Buffer.alloc(0);
  for await (const data of frames.range(offset, end - offset, signal)) {
    let start = 0;
    let at = data.indexOf(newline);
    if (rest.length > 0 && at >= 0) {
      const whole = Buffer.concat([rest, data.subarray(0, at)]);
      if (visitLine(whole, 0, whole.length)) return;
      start = at + 1;
      rest = Buffer.alloc(0);
      at = data.indexOf(newline, start);
    }
    for (; at >= 0; at = data.indexOf(newline, start)) {
      if (visitLine(data, start, at)) return;
      start = at + 1;
    }
    rest = rest.length === 0 ? Buffer.from(data.subarray(start)) : Buffer.concat([rest, data]);
    if (rest.length > maxLineBytes) throw corrupt(`line ${line + 1} does not end`);
  }
  if (rest.length > 0) throw corrupt('the last line is cut off');
}

/** Whether {@link opening} stands there; by hand, for this is asked a million times. */
function opensPlainly(bytes: Buffer, start: number): boolean {
  for (let at = 0; at < opening.length; at += 1) if (bytes[start + at] !== opening[at]) return false;
  return true;
}

function decoded(text: string, line: number): IndexEntry {
  const entry = decodeIndexLine(text);
  if (entry === undefined) throw corrupt(`line ${line + 1} is damaged`);
  return entry;
}

function corrupt(what: string): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail: `index: ${what}` });
}
