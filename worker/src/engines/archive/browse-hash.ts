import { randomBytes } from 'node:crypto';

const slash = 0x2f;

/**
 * Hashes paths to 53 bits, by a key that lives as long as the process: what is kept of a customer's directories tells
 * nothing of their names. Two paths may have one hash, so whoever looks by it compares the paths themselves.
 */
export class PathHash {
  readonly #seed = randomBytes(8);
  readonly #low0 = this.#seed.readInt32LE(0);
  readonly #high0 = this.#seed.readInt32LE(4);
  #low = 0;
  #high = 0;

  begin(): void {
    this.#low = this.#low0;
    this.#high = this.#high0;
  }

  add(byte: number): void {
    this.#low = Math.imul(this.#low ^ byte, 0x01000193);
    this.#high = Math.imul(this.#high + byte, 0x5bd1e995) ^ (this.#high >>> 15);
  }

  /** Of what was added since the beginning. */
  get value(): number {
    return (this.#high >>> 11) * 2 ** 32 + (this.#low >>> 0);
  }

  /** Of the path as a directory; the root is the empty path. */
  of(path: Buffer): number {
    this.begin();
    for (const byte of path) this.add(byte);
    return this.value;
  }

  /** Of the directory that holds the path. */
  ofParent(path: Buffer): number {
    return this.of(path.subarray(0, Math.max(path.lastIndexOf(slash), 0)));
  }
}
