import type { FileHandle } from 'node:fs/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { DirectFile } from './direct-file.ts';
import { storageError } from './local-fs-sync.ts';
import type { FileReader, FileWriter } from './storage.ts';

/** What is written since the last flush began; then another one begins beside the writing. */
const flushEveryBytes = 32 * 1024 * 1024;

/** Writes one file in order; closing makes it durable, of which most is done meanwhile. */
export class LocalFileWriter implements FileWriter {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #direct: DirectFile | undefined;
  #state: 'open' | 'failed' | 'durable' | 'discarded' = 'open';
  #unflushedBytes = 0;
  #flushing: Promise<void> | undefined;
  /** The system tells a failed flush once: it must not be forgotten. */
  #flushFailure: { readonly cause: unknown } | undefined;

  /** `direct` writes the same file. */
  constructor(handle: FileHandle, path: string, direct?: DirectFile) {
    this.#handle = handle;
    this.path = path;
    this.#direct = direct;
  }

  /** True once every byte written is known to be on the disk. */
  get durable(): boolean {
    return this.#state === 'durable';
  }

  async write(data: Buffer): Promise<void> {
    if (this.#state !== 'open') throw new XVaultError('STORAGE_FAILED', { detail: `${this.path} is ${this.#state}` });
    try {
      if (this.#direct !== undefined) return await this.#direct.write(data);
      // The kernel may take less than it was given (a signal, a disk almost full).
      this.#throwFailedFlush();
      for (let done = 0; done < data.length; ) {
        done += (await this.#handle.write(data, done, data.length - done)).bytesWritten;
      }
      this.#flushAhead(data.length);
    } catch (cause) {
      this.#state = 'failed';
      throw storageError(cause, `cannot write ${this.path}`);
    }
  }

  async close(): Promise<void> {
    if (this.#state !== 'open') throw new XVaultError('STORAGE_FAILED', { detail: `${this.path} is ${this.#state}` });
    try {
      await this.#direct?.finish();
      await this.#flushing;
      this.#throwFailedFlush();
      await this.#handle.sync();
      await this.#handle.close();
      this.#state = 'durable';
    } catch (cause) {
      this.#state = 'failed';
      throw storageError(cause, `cannot flush ${this.path}`);
    }
  }

  /** Lets go of the file, whatever state it is in. */
  async discard(): Promise<void> {
    if (this.#state === 'durable' || this.#state === 'discarded') return;
    this.#state = 'discarded';
    await this.#direct?.discard();
    await this.#flushing;
    await this.#handle.close();
  }

  /** One flush at a time; never throws. */
  #flushAhead(moreBytes: number): void {
    this.#unflushedBytes += moreBytes;
    if (this.#unflushedBytes < flushEveryBytes || this.#flushing !== undefined) return;
    this.#unflushedBytes = 0;
    this.#flushing = this.#handle
      .datasync()
      .catch((cause: unknown) => {
        this.#flushFailure ??= { cause };
      })
      .finally(() => {
        this.#flushing = undefined;
      });
  }

  #throwFailedFlush(): void {
    if (this.#flushFailure !== undefined) throw this.#flushFailure.cause;
  }
}

export class LocalFileReader implements FileReader {
  readonly sizeBytes: number;
  readonly #handle: FileHandle;
  readonly #path: string;
  #closed = false;

  constructor(handle: FileHandle, sizeBytes: number, path: string) {
    this.#handle = handle;
    this.sizeBytes = sizeBytes;
    this.#path = path;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    // Checked before memory is taken: a damaged length must not allocate gigabytes.
    if (offset < 0 || length < 0 || offset + length > this.sizeBytes) throw this.#truncated(offset, length);
    const data = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const bytesRead = await this.#readSome(data, done, offset + done);
      if (bytesRead === 0) throw this.#truncated(offset, length);
      done += bytesRead;
    }
    return data;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  async #readSome(data: Buffer, at: number, position: number): Promise<number> {
    try {
      return (await this.#handle.read(data, at, data.length - at, position)).bytesRead;
    } catch (cause) {
      throw storageError(cause, `cannot read ${this.#path}`);
    }
  }

  #truncated(offset: number, length: number): XVaultError {
    const detail = `${this.#path} has ${this.sizeBytes} bytes, wanted ${length} from ${offset}`;
    return new XVaultError('ARTIFACT_TRUNCATED', { detail });
  }
}
