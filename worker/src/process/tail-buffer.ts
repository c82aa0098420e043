/** Keeps the last bytes of what is pushed, in bounded memory. */
export class TailBuffer {
  readonly #limitBytes: number;
  #pieces: Buffer[] = [];
  #length = 0;
  #dropped = false;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  push(data: Buffer): void {
    this.#pieces.push(data);
    this.#length += data.length;
    // Compacted at twice the limit, so that many small pieces cost little.
    if (this.#length > 2 * this.#limitBytes) this.#compact();
  }

  toString(): string {
    this.#compact();
    const text = Buffer.concat(this.#pieces).toString('utf8');
    return this.#dropped ? `…${text}` : text;
  }

  #compact(): void {
    if (this.#length <= this.#limitBytes) return;
    const all = Buffer.concat(this.#pieces);
    const kept = Buffer.from(all.subarray(all.length - this.#limitBytes));
    this.#pieces = [kept];
    this.#length = kept.length;
    this.#dropped = true;
  }
}
