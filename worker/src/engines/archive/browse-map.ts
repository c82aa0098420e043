import type { IndexLine, LinePlace } from './browse-lines.ts';

/** Lines that follow each other and lie in the same directory. */
export interface LineRun extends LinePlace {
  /** Counts the runs of the index. */
  readonly index: number;
  readonly lines: number;
  /** Content offset of their end. */
  readonly end: number;
}

const linesPerMark = 4096;
const firstCapacity = 1024;
/** More are not kept: then directories are found by reading on. */
const maxRuns = 1024 * 1024;

/**
 * Where the lines of each directory stand in an index, as far as it was read: built while reading, whatever the order of
 * the lines is. Holds no names. Small, because the entries of a directory mostly stand together.
 */
export class IndexMap {
  #hashes = new Float64Array(firstCapacity);
  #offsets = new Float64Array(firstCapacity + 1);
  #lines = new Uint32Array(firstCapacity + 1);
  #marks = new Float64Array(64);
  #runs = 0;
  #nextLine = 0;
  #nextOffset = 0;
  #complete = false;
  #overflowed = false;

  /** The first line that was not read yet. */
  get frontier(): LinePlace {
    return { line: this.#nextLine, offset: this.#nextOffset };
  }

  /** Whether the whole index was read. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Whether directories can be looked up: not when there are too many runs to keep. */
  get usable(): boolean {
    return !this.#overflowed;
  }

  get byteLength(): number {
    return this.#hashes.byteLength + this.#offsets.byteLength + this.#lines.byteLength + this.#marks.byteLength;
  }

  /** Takes in a line if it is the next one. */
  record(line: IndexLine): void {
    if (line.line !== this.#nextLine) return;
    if (line.line % linesPerMark === 0) this.#mark(line.line / linesPerMark, line.offset);
    const last = this.#runs - 1;
    if (!this.#overflowed && (last < 0 || this.#hashes[last] !== line.parentHash)) this.#begin(line);
    this.#nextLine += 1;
    this.#nextOffset = line.offset + line.end + 1 - line.start;
    // The end of the last run is the beginning of a next one.
    if (!this.#overflowed) {
      this.#offsets[this.#runs] = this.#nextOffset;
      this.#lines[this.#runs] = this.#nextLine;
    }
  }

  /** There is nothing after the frontier. */
  finish(contentBytes: number): void {
    if (this.#nextOffset === contentBytes) this.#complete = true;
  }

  /** The first run of a directory, by its hash, from the run `from` on that ends after a line; undefined when none is known. */
  find(hash: number, line: number, from: number): LineRun | undefined {
    for (let run = from; run < this.#runs; run += 1) {
      if (this.#hashes[run] !== hash) continue;
      const next = this.#lines[run + 1] ?? 0;
      if (next <= line) continue;
      const first = this.#lines[run] ?? 0;
      const [offset, end] = [this.#offsets[run] ?? 0, this.#offsets[run + 1] ?? 0];
      return { index: run, line: first, offset, lines: next - first, end };
    }
    return undefined;
  }

  /** The last known beginning of a line that is not after it. */
  before(line: number): LinePlace {
    if (line >= this.#nextLine) return this.frontier;
    const mark = Math.floor(line / linesPerMark);
    return { line: mark * linesPerMark, offset: this.#marks[mark] ?? 0 };
  }

  #begin(line: IndexLine): void {
    if (this.#runs === maxRuns) {
      this.#overflowed = true;
      this.#runs = 0;
      this.#hashes = new Float64Array(0);
      this.#offsets = new Float64Array(0);
      this.#lines = new Uint32Array(0);
      return;
    }
    if (this.#runs === this.#hashes.length) this.#grow();
    this.#hashes[this.#runs] = line.parentHash;
    this.#offsets[this.#runs] = line.offset;
    this.#lines[this.#runs] = line.line;
    this.#runs += 1;
  }

  #grow(): void {
    const capacity = this.#hashes.length * 2;
    this.#hashes = enlarged(this.#hashes, new Float64Array(capacity));
    this.#offsets = enlarged(this.#offsets, new Float64Array(capacity + 1));
    this.#lines = enlarged(this.#lines, new Uint32Array(capacity + 1));
  }

  #mark(mark: number, offset: number): void {
    if (mark === this.#marks.length) this.#marks = enlarged(this.#marks, new Float64Array(2 * mark));
    this.#marks[mark] = offset;
  }
}

function enlarged<T extends Float64Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
