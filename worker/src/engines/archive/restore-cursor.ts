import { XVaultError } from '@xvault/shared/errors.ts';

/** Takes a stream of bytes apart at given lengths, in order, without copying. Close it in `finally`. */
export class ByteCursor {
  readonly #source: AsyncIterator<Buffer>;
  #left: Buffer = Buffer.alloc(0);
  #taken = 0;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Bytes that were taken or skipped so far. */
  get taken(): number {
    return this.#taken;
  }

  /** The next `length` bytes in pieces. Throws ARTIFACT_TRUNCATED. */
  async *take(length: number): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0; ) {
      if (this.#left.length === 0) this.#left = await this.#next();
      const piece = this.#left.subarray(0, missing);
      this.#left = this.#left.subarray(piece.length);
      missing -= piece.length;
      this.#taken += piece.length;
      yield piece;
    }
  }

  async skip(length: number): Promise<void> {
    for (let missing = length; missing > 0; ) {
      if (this.#left.length === 0) this.#left = await this.#next();
      const skipped = Math.min(missing, this.#left.length);
      this.#left = this.#left.subarray(skipped);
      missing -= skipped;
      this.#taken += skipped;
    }
  }

  /** A short stretch in one piece. */
  async takeWhole(length: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.take(length)) pieces.push(piece);
    return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
  }

  /** Reads on to the end, for what the source says there. */
  async drain(): Promise<void> {
    this.#left = Buffer.alloc(0);
    for (;;) {
      const { value, done } = await this.#source.next();
      if (done) return;
      this.#taken += value.length;
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #next(): Promise<Buffer> {
    const { value, done } = await this.#source.next();
    if (done) throw new XVaultError('ARTIFACT_TRUNCATED', { detail: 'the tar stream ends before its index does' });
    return value;
  }
}
