import { createHash } from 'node:crypto';
import type { FileWriter } from '../storage/storage.ts';
import { AgeEncrypter } from './age-encrypter.ts';

export interface StoredFile {
  readonly sizeBytes: number;
  /** Of the file as stored, hex. */
  readonly sha256: string;
}

/** Pieces of ciphertext are gathered up to this before they are written. */
const writeBytes = 1024 * 1024;

/** Encrypts into a stored file, counting and hashing what is stored. One call at a time. */
export class SealedFileWriter {
  readonly #file: FileWriter;
  readonly #encrypter: AgeEncrypter;
  readonly #hash = createHash('sha256');
  readonly #buffer = Buffer.allocUnsafeSlow(writeBytes);
  #filled = 0;
  #sizeBytes = 0;

  private constructor(file: FileWriter, encrypter: AgeEncrypter) {
    this.#file = file;
    this.#encrypter = encrypter;
  }

  static async create(file: FileWriter, recipients: readonly string[]): Promise<SealedFileWriter> {
    const encrypter = await AgeEncrypter.create(recipients);
    const writer = new SealedFileWriter(file, encrypter);
    await writer.#store([encrypter.header]);
    return writer;
  }

  /** `data` may be reused once this resolves. */
  async write(data: Buffer): Promise<void> {
    await this.#store(this.#encrypter.update(data));
  }

  /** Writes the end, flushes to the disk. */
  async finish(): Promise<StoredFile> {
    await this.#store(this.#encrypter.final());
    await this.#flush();
    await this.#file.close();
    return { sizeBytes: this.#sizeBytes, sha256: this.#hash.digest('hex') };
  }

  async #store(pieces: Iterable<Buffer>): Promise<void> {
    for (const piece of pieces) {
      if (this.#filled + piece.length > writeBytes) await this.#flush();
      piece.copy(this.#buffer, this.#filled);
      this.#filled += piece.length;
    }
  }

  async #flush(): Promise<void> {
    const data = this.#buffer.subarray(0, this.#filled);
    this.#filled = 0;
    this.#sizeBytes += data.length;
    this.#hash.update(data);
    await this.#file.write(data);
  }
}
