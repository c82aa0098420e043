import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { native } from '../native/binding.ts';
import { errnoOf } from './local-fs-sync.ts';

/** Written at once, and a multiple of every disk's block. */
const stageBytes = 4 * 1024 * 1024;
const blockBytes = 4096;

/**
 * Appends to a file past the page cache: for data that nobody reads again soon, the cache costs more than the disk. What is left
 * at the end goes the usual way, as all does where the file system takes no direct writes. Nothing is durable before a flush.
 */
export class DirectFile {
  readonly #plain: FileHandle;
  #direct: FileHandle | undefined;
  #stage = native.alignedBuffer(stageBytes);
  #spare: Buffer | undefined;
  #filled = 0;
  /** Of the stage in the file. */
  #position = 0;
  #writing: Promise<void> | undefined;
  #failure: { readonly cause: unknown } | undefined;

  private constructor(plain: FileHandle, direct: FileHandle) {
    this.#plain = plain;
    this.#direct = direct;
  }

  /** `plain` is the empty file at `path`, and stays the caller's. Undefined where there are no direct writes. */
  static async open(plain: FileHandle, path: string): Promise<DirectFile | undefined> {
    try {
      return new DirectFile(plain, await open(path, constants.O_WRONLY | constants.O_DIRECT | constants.O_NOFOLLOW));
    } catch (error) {
      if (errnoOf(error) === 'EINVAL') return undefined;
      throw error;
    }
  }

  /** `data` may be reused once this resolves. A failure may be told by a later call. */
  async write(data: Buffer): Promise<void> {
    for (let done = 0; done < data.length; ) {
      const copied = data.copy(this.#stage, this.#filled, done);
      done += copied;
      this.#filled += copied;
      if (this.#filled === stageBytes) await this.#turn();
    }
    this.#throwFailure();
  }

  /** Writes what is left. */
  async finish(): Promise<void> {
    await this.#writing;
    this.#throwFailure();
    await writeAll(this.#plain, this.#stage.subarray(0, this.#filled), this.#position);
    this.#filled = 0;
    await this.#closeDirect();
  }

  /** Never throws for what writing threw. */
  async discard(): Promise<void> {
    await this.#writing;
    await this.#closeDirect();
  }

  /** Has the full stage written while the other one is filled. */
  async #turn(): Promise<void> {
    await this.#writing;
    this.#throwFailure();
    const full = this.#stage;
    this.#writing = this.#put(full, this.#position).catch((cause: unknown) => {
      this.#failure = { cause };
    });
    this.#stage = this.#spare ?? native.alignedBuffer(stageBytes);
    this.#spare = full;
    this.#position += stageBytes;
    this.#filled = 0;
  }

  async #put(data: Buffer, position: number): Promise<void> {
    let done = 0;
    try {
      // The kernel may take less than it was given; the rest can only go this way from a block's border on.
      while (this.#direct !== undefined && done < data.length && done % blockBytes === 0) {
        done += (await this.#direct.write(data, done, data.length - done, position + done)).bytesWritten;
      }
    } catch (error) {
      if (errnoOf(error) !== 'EINVAL') throw error;
      await this.#closeDirect();
    }
    await writeAll(this.#plain, data.subarray(done), position + done);
  }

  async #closeDirect(): Promise<void> {
    const direct = this.#direct;
    this.#direct = undefined;
    await direct?.close();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.cause;
  }
}

async function writeAll(handle: FileHandle, data: Buffer, position: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    done += (await handle.write(data, done, data.length - done, position + done)).bytesWritten;
  }
}
