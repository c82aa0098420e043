/** The stream ended where more must come. */
export class TruncatedStream extends Error {
  override readonly name = 'TruncatedStream';
}

/** Takes exact numbers of bytes off a stream of chunks. */
export class TarBytes {
  readonly #chunks: AsyncIterator<Buffer>;
  #current: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** A view where one chunk holds it all, else a copy. Throws TruncatedStream. */
  async take(length: number): Promise<Buffer> {
    if (this.#current.length >= length) return this.#cut(length);
    const whole = Buffer.allocUnsafe(length);
    let have = 0;
    while (have < length) {
      if (this.#current.length === 0) await this.#next();
      have += this.#cut(Math.min(length - have, this.#current.length)).copy(whole, have);
    }
    return whole;
  }

  /** The next bytes, at least one and at most `length`. */
  async some(length: number): Promise<Buffer> {
    if (this.#current.length === 0) await this.#next();
    return this.#cut(Math.min(length, this.#current.length));
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) left -= (await this.some(left)).length;
  }

  /** Passes over all up to and with a line. Throws TruncatedStream when it does not come within `limit` bytes. */
  async skipLine(line: string, limit: number): Promise<void> {
    const wanted = Buffer.from(`${line}\n`);
    let seen: Buffer = Buffer.alloc(0);
    while (seen.length <= limit) {
      await this.#next();
      seen = Buffer.concat([seen, this.#current]);
      const at = seen.indexOf(wanted);
      this.#current = at === -1 ? Buffer.alloc(0) : seen.subarray(at + wanted.length);
      if (at !== -1) return;
    }
    throw new TruncatedStream('the expected first line did not come');
  }

  /** Whether nothing comes any more. */
  async ended(): Promise<boolean> {
    if (this.#current.length > 0) return false;
    const { value, done } = await this.#chunks.next();
    if (done) return true;
    this.#current = value;
    return this.ended();
  }

  /** Passes over padding; false when nothing else comes. Throws TruncatedStream where the end is within a block. */
  async skipZeroBlocks(blockBytes: number): Promise<boolean> {
    while (!(await this.ended())) {
      const block = await this.take(blockBytes);
      if (block.every((byte) => byte === 0)) continue;
      this.#current = Buffer.concat([block, this.#current]);
      return true;
    }
    return false;
  }

  /** Takes what is left and drops it. */
  async drain(): Promise<void> {
    while (!(await this.ended())) this.#current = Buffer.alloc(0);
  }

  async #next(): Promise<void> {
    do {
      const { value, done } = await this.#chunks.next();
      if (done) throw new TruncatedStream('the stream ended too early');
      this.#current = value;
    } while (this.#current.length === 0);
  }

  #cut(length: number): Buffer {
    const part = this.#current.subarray(0, length);
    this.#current = this.#current.subarray(length);
    return part;
  }
}
