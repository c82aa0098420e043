import { createHash, type Hash } from 'node:crypto';
import type { FileWriter } from '../storage/storage.ts';
import { AgeEncrypter } from './age-encrypter.ts';
import { ageNonceBytes } from './age-format.ts';

export interface StoredFile {
  readonly sizeBytes: number;
  /** Of the file as stored, hex. */
  readonly sha256: string;
  /** Of all after the age header, where it was asked for. */
  readonly payloadSha256?: string;
}

/** Encrypts into a stored file, counting and hashing what is stored. One call at a time. */
export class SealedFileWriter {
  readonly #file: FileWriter;
  readonly #encrypter: AgeEncrypter;
  readonly #hash = createHash('sha256');
  #payloadHash: Hash | null = null;
  #sizeBytes = 0;

  private constructor(file: FileWriter, encrypter: AgeEncrypter) {
    this.#file = file;
    this.#encrypter = encrypter;
  }

  /** `hashesPayload`: the payload gets a checksum of its own. */
  static async create(
    file: FileWriter,
    recipients: readonly string[],
    hashesPayload = false,
  ): Promise<SealedFileWriter> {
    const encrypter = await AgeEncrypter.create(recipients);
    const writer = new SealedFileWriter(file, encrypter);
    await writer.#store([encrypter.header]);
    // The nonce, which stays when the header is replaced, is the payload's beginning.
    const nonce = encrypter.header.subarray(-ageNonceBytes);
    if (hashesPayload) writer.#payloadHash = createHash('sha256').update(nonce);
    return writer;
  }

  /** `data` may be reused once this resolves. */
  async write(data: Buffer): Promise<void> {
    await this.#store(this.#encrypter.update(data));
  }

  /** Writes the end, flushes to the disk. */
  async finish(): Promise<StoredFile> {
    await this.#store(this.#encrypter.final());
    await this.#file.close();
    const payloadSha256 = this.#payloadHash?.digest('hex');
    const stored = { sizeBytes: this.#sizeBytes, sha256: this.#hash.digest('hex') };
    return payloadSha256 === undefined ? stored : { ...stored, payloadSha256 };
  }

  async #store(pieces: Iterable<Buffer>): Promise<void> {
    for (const piece of pieces) {
      this.#sizeBytes += piece.length;
      this.#hash.update(piece);
      this.#payloadHash?.update(piece);
      await this.#file.write(piece);
    }
  }
}
