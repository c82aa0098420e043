import { randomBytes } from 'node:crypto';
import { Encrypter } from 'age-encryption';
import { ageChunkBytes, ageNonceBytes, ageTagBytes, maxAgeHeaderBytes, payloadKey, sealChunk } from './age-format.ts';

/** Writes an age file piece by piece: the header by age-encryption, the payload by native code. */
export class AgeEncrypter {
  /** Header and payload nonce: comes before everything else. */
  readonly header: Buffer;
  readonly #key: Buffer;
  readonly #chunk = Buffer.allocUnsafeSlow(ageChunkBytes);
  #filled = 0;
  #index = 0;

  private constructor(header: Buffer, key: Buffer) {
    this.header = header;
    this.#key = key;
  }

  /** Throws when a recipient is not a valid age recipient. */
  static async create(recipients: readonly string[]): Promise<AgeEncrypter> {
    const encrypter = new Encrypter();
    for (const recipient of recipients) encrypter.addRecipient(recipient);
    let fileKey: Uint8Array | undefined;
    // Adds no stanza of its own: it is here to learn the file key.
    encrypter.addRecipient({
      wrapFileKey: (key) => {
        fileKey = Uint8Array.from(key);
        return [];
      },
    });
    const emptyFile = await encrypter.encrypt(new Uint8Array(0));
    if (fileKey === undefined || recipients.length === 0) throw new Error('an age file needs a recipient');
    const header = emptyFile.subarray(0, emptyFile.length - ageNonceBytes - ageTagBytes);
    if (header.length > maxAgeHeaderBytes) throw new Error('too many recipients for an age header');
    const nonce = randomBytes(ageNonceBytes);
    return new AgeEncrypter(Buffer.concat([header, nonce]), payloadKey(fileKey, nonce));
  }

  /** Yields ciphertext as chunks fill up; `data` may be reused when the generator has ended. */
  *update(data: Buffer): Generator<Buffer, void, void> {
    let offset = 0;
    while (offset < data.length) {
      // A full chunk waits until more comes, for only then is it known not to be the last.
      if (this.#filled === ageChunkBytes) {
        yield* this.#seal(this.#chunk, false);
        this.#filled = 0;
      }
      const left = data.length - offset;
      if (this.#filled === 0 && left > ageChunkBytes) {
        yield* this.#seal(data.subarray(offset, offset + ageChunkBytes), false);
        offset += ageChunkBytes;
        continue;
      }
      const length = Math.min(left, ageChunkBytes - this.#filled);
      data.copy(this.#chunk, this.#filled, offset, offset + length);
      this.#filled += length;
      offset += length;
    }
  }

  /** The last chunk. Nothing may follow. */
  *final(): Generator<Buffer, void, void> {
    yield* this.#seal(this.#chunk.subarray(0, this.#filled), true);
  }

  *#seal(plaintext: Buffer, last: boolean): Generator<Buffer, void, void> {
    const [ciphertext, tag] = sealChunk(this.#key, this.#index, last, plaintext);
    this.#index += 1;
    yield ciphertext;
    yield tag;
  }
}
