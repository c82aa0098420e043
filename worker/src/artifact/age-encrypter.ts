import { randomBytes } from 'node:crypto';
import { Encrypter } from 'age-encryption';
import { native } from '../native/binding.ts';
import {
  ageChunkBytes,
  ageNonceBytes,
  ageStoredChunkBytes,
  ageTagBytes,
  maxAgeHeaderBytes,
  payloadKey,
} from './age-format.ts';

/** Encrypted by one call and written by another: fewer turns between threads on a busy machine. */
const gatheredChunks = 64;
const gatheredBytes = gatheredChunks * ageChunkBytes;

/** Writes an age file piece by piece: the header by age-encryption, the payload by native code. */
export class AgeEncrypter {
  /** Header and payload nonce: comes before everything else. */
  readonly header: Buffer;
  readonly #key: Buffer;
  readonly #gathered = Buffer.allocUnsafeSlow(gatheredBytes);
  readonly #sealed = Buffer.allocUnsafeSlow(gatheredChunks * ageStoredChunkBytes);
  #filled = 0;
  /** Number of the next chunk. */
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

  /** Yields ciphertext, each piece valid until the next one is asked for; `data` may be reused when the generator has ended. */
  *update(data: Buffer): Generator<Buffer, void, void> {
    let offset = 0;
    while (offset < data.length) {
      // What is full waits until more comes, for only then is it known not to hold the last chunk.
      if (this.#filled === gatheredBytes) yield this.#seal(this.#gathered, false);
      const length = Math.min(data.length - offset, gatheredBytes - this.#filled);
      data.copy(this.#gathered, this.#filled, offset, offset + length);
      this.#filled += length;
      offset += length;
    }
  }

  /** The last chunks. Nothing may follow. */
  *final(): Generator<Buffer, void, void> {
    yield this.#seal(this.#gathered.subarray(0, this.#filled), true);
  }

  #seal(plaintext: Buffer, endsFile: boolean): Buffer {
    const sealedBytes = native.seal(this.#sealed, plaintext, this.#key, this.#index, endsFile);
    this.#index += gatheredChunks;
    this.#filled = 0;
    return this.#sealed.subarray(0, sealedBytes);
  }
}
