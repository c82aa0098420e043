import { createHash, type Hash } from 'node:crypto';

/**
 * Checksum of an age file by those of its two halves: the header, and all after it. A file that was given another header without
 * its payload having been read has such a one.
 */
export function checksumOfHalves(headerSha256: string, payloadSha256: string): string {
  return createHash('sha256').update(headerSha256, 'hex').update(payloadSha256, 'hex').digest('hex');
}

export function sha256Of(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

/** What a stored file's checksum is of. */
export type ChecksumOf = { readonly type: 'file' } | { readonly type: 'halves'; readonly headerBytes: number };

export const wholeFile: ChecksumOf = { type: 'file' };

/** The checksum of a stored file that comes front to back. */
export class StoredChecksum {
  readonly #of: ChecksumOf;
  readonly #header: Hash = createHash('sha256');
  readonly #rest: Hash = createHash('sha256');
  #headerLeft: number;

  constructor(of: ChecksumOf) {
    this.#of = of;
    this.#headerLeft = of.type === 'halves' ? of.headerBytes : 0;
  }

  update(chunk: Buffer): void {
    const header = chunk.subarray(0, this.#headerLeft);
    this.#headerLeft -= header.length;
    if (header.length > 0) this.#header.update(header);
    if (header.length < chunk.length) this.#rest.update(chunk.subarray(header.length));
  }

  digest(): string {
    const rest = this.#rest.digest('hex');
    return this.#of.type === 'file' ? rest : checksumOfHalves(this.#header.digest('hex'), rest);
  }
}
