import { type CopyPlan, copiesInFlight } from './part-sizes.ts';
import { attributesOf, type CopyRange, Multipart, type MultipartOptions } from './s3-multipart.ts';
import type { S3UploadOptions } from './s3-upload.ts';
import type { FileCopy } from './storage.ts';

export type S3CopyOptions = Omit<MultipartOptions, 'attributes'> & Pick<S3UploadOptions, 'settings' | 'toError'>;

/**
 * Makes an object of a new beginning and what another one of the bucket has: only the first part goes through here, the others the
 * server takes itself. Nothing is seen under the key before all of it is there.
 */
export class S3Copy {
  readonly key: string;
  readonly #options: S3CopyOptions;
  readonly #abort = new AbortController();
  readonly #multipart: Multipart;
  #state: 'open' | 'done' | 'discarded' = 'open';

  constructor(options: S3CopyOptions) {
    this.key = options.key;
    this.#options = options;
    const signal = AbortSignal.any([options.signal, this.#abort.signal]);
    this.#multipart = new Multipart({ ...options, attributes: attributesOf(options.settings), signal });
  }

  /** True once the object is there as a whole. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** `from` is where the other object is. After a failure, `discard`. */
  async run(copy: FileCopy, from: Pick<CopyRange, 'key' | 'etag'>, { firstBytes, partBytes }: CopyPlan): Promise<void> {
    const { head, source, onProgress } = copy;
    const rangesFrom = copy.from + firstBytes;
    const ranges: CopyRange[] = [];
    for (let offset = rangesFrom; offset < source.sizeBytes; offset += partBytes) {
      ranges.push({ ...from, offset, length: Math.min(partBytes, source.sizeBytes - offset) });
    }
    try {
      await this.#multipart.begin();
      await this.#multipart.send(1, Buffer.concat([head, await source.read(copy.from, firstBytes)]));
      onProgress?.(firstBytes);
      let done = firstBytes;
      const pending = ranges.entries();
      const takeParts = async () => {
        // One iterator for all: each takes the next part that nobody has.
        for (const [at, range] of pending) {
          await this.#multipart.copy(at + 2, range);
          done += range.length;
          onProgress?.(done);
        }
      };
      await this.#all(Array.from({ length: copiesInFlight }, takeParts));
      await this.#multipart.complete(head.length + source.sizeBytes - copy.from);
      this.#state = 'done';
    } catch (cause) {
      throw this.#options.toError(cause, `cannot copy to ${this.key}`, this.#options.signal);
    }
  }

  /** Gives up, in any state; leaves no parts at the server. What is `done` stays. */
  async discard(): Promise<void> {
    if (this.#state !== 'open') return;
    try {
      await this.#multipart.abort();
    } catch (cause) {
      throw this.#options.toError(cause, `cannot abort ${this.key}`);
    }
    this.#state = 'discarded';
  }

  /** The first failure ends the others, and is told once nothing is on its way any more. */
  async #all(tasks: readonly Promise<void>[]): Promise<void> {
    const failures: unknown[] = [];
    const settled = tasks.map((task) =>
      task.catch((error: unknown) => {
        failures.push(error);
        this.#abort.abort(error);
      }),
    );
    await Promise.all(settled);
    if (failures.length > 0) throw failures[0];
  }
}
