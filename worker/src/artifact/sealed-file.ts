import { createHash } from 'node:crypto';
import type { FileWriter } from '../storage/storage.ts';
import { AgeEncrypter } from './age-encrypter.ts';

export interface StoredFile {
  readonly sizeBytes: number;
  /** Of the file as stored, hex. */
  readonly sha256: string;
}

/** Encrypts into a stored file, counting and hashing what is stored. One call at a time. */
export class SealedFileWriter {
  readonly #file: FileWriter;
  readonly #encrypter: AgeEncrypter;
  readonly #hash = createHash('sha256');
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
    await this.#file.close();
    return { sizeBytes: this.#sizeBytes, sha256: this.#hash.digest('hex') };
  }

  async #store(pieces: Iterable<Buffer>): Promise<void> {
    for (const piece of pieces) {
      this.#sizeBytes += piece.length;
      this.#hash.update(piece);
      await this.#file.write(piece);
    }
  }
}
