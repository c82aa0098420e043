import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileReader } from '../storage/storage.ts';
import { ageChunkBytes, ageNonceBytes, ageStoredChunkBytes, ageTagBytes, openChunk, payloadKey } from './age-format.ts';
import { openAgeHeader, readAgeHeader } from './age-header.ts';

/** Reads any range of an age file's plaintext, touching only the chunks that hold it. */
export class AgeReader {
  /** Of the plaintext. */
  readonly sizeBytes: number;
  readonly #file: FileReader;
  readonly #key: Buffer;
  readonly #payloadOffset: number;
  readonly #lastIndex: number;

  private constructor(file: FileReader, key: Buffer, payloadOffset: number) {
    const payloadBytes = file.sizeBytes - payloadOffset;
    this.#file = file;
    this.#key = key;
    this.#payloadOffset = payloadOffset;
    this.#lastIndex = Math.max(Math.ceil(payloadBytes / ageStoredChunkBytes) - 1, 0);
    this.sizeBytes = payloadBytes - (this.#lastIndex + 1) * ageTagBytes;
  }

  /**
   * Opens the header and proves that the file ends where it should. Throws IDENTITY_MISMATCH, ARTIFACT_CORRUPT,
   * ARTIFACT_TRUNCATED. The file stays the caller's to close.
   */
  static async open(file: FileReader, identities: readonly string[]): Promise<AgeReader> {
    const header = await readAgeHeader(file);
    const payloadOffset = header.length + ageNonceBytes;
    const fileKey = await openAgeHeader(header, identities);
    if (file.sizeBytes < payloadOffset + ageTagBytes) throw truncated('the payload is missing');
    const key = payloadKey(fileKey, await file.read(header.length, ageNonceBytes));
    const reader = new AgeReader(file, key, payloadOffset);
    await reader.#checkEnd();
    return reader;
  }

  /** Exactly `length` bytes from `offset`. Throws ARTIFACT_CORRUPT when a chunk does not authenticate. */
  async read(offset: number, length: number): Promise<Buffer> {
    if (offset < 0 || length < 0 || offset + length > this.sizeBytes) {
      throw new XVaultError('ARTIFACT_CORRUPT', {
        detail: 'a range beyond the end of the encrypted stream is asked for',
      });
    }
    if (length === 0) return Buffer.alloc(0);
    const first = Math.floor(offset / ageChunkBytes);
    const last = Math.floor((offset + length - 1) / ageChunkBytes);
    const storedOffset = first * ageStoredChunkBytes;
    const storedEnd = Math.min((last + 1) * ageStoredChunkBytes, this.#file.sizeBytes - this.#payloadOffset);
    const stored = await this.#file.read(this.#payloadOffset + storedOffset, storedEnd - storedOffset);
    const out = Buffer.allocUnsafeSlow(length);
    for (let index = first; index <= last; index += 1) {
      const at = (index - first) * ageStoredChunkBytes;
      const chunk = this.#openChunk(index, stored.subarray(at, at + ageStoredChunkBytes));
      const chunkOffset = index * ageChunkBytes - offset;
      if (chunkOffset >= 0) chunk.copy(out, chunkOffset, 0, length - chunkOffset);
      else chunk.copy(out, 0, -chunkOffset, length - chunkOffset);
    }
    return out;
  }

  #openChunk(index: number, stored: Buffer): Buffer {
    const chunk = openChunk(this.#key, index, index === this.#lastIndex, stored);
    if (chunk !== undefined) return chunk;
    throw new XVaultError('ARTIFACT_CORRUPT', { detail: `age chunk ${index} does not authenticate` });
  }

  async #checkEnd(): Promise<void> {
    const at = this.#payloadOffset + this.#lastIndex * ageStoredChunkBytes;
    const stored = await this.#file.read(at, this.#file.sizeBytes - at);
    if (stored.length < ageTagBytes) throw truncated('the last age chunk is cut off');
    if (openChunk(this.#key, this.#lastIndex, false, stored) !== undefined)
      throw truncated('the last age chunk is missing');
    const last = this.#openChunk(this.#lastIndex, stored);
    if (last.length === 0 && this.#lastIndex > 0) {
      throw new XVaultError('ARTIFACT_CORRUPT', { detail: 'the last age chunk is empty' });
    }
  }
}

function truncated(detail: string): XVaultError {
  return new XVaultError('ARTIFACT_TRUNCATED', { detail });
}
