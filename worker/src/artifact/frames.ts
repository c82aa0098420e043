import type { CompressPool, FrameBuffers } from './compress-pool.ts';
import { SeekTableBuilder } from './seek-table.ts';

export const defaultFrameBytes = 4 * 1024 * 1024;

export interface FrameWriterOptions {
  readonly pool: CompressPool;
  /** Content of a frame, uncompressed; the last may hold less. */
  readonly frameBytes: number;
  readonly compressionLevel: number;
  /** Takes what is to be stored, in order; the buffer is reused once the promise resolves. */
  readonly sink: (data: Buffer) => Promise<void>;
  readonly signal: AbortSignal;
}

const noRoom = Buffer.alloc(0);

/**
 * Cuts a stream into zstd frames that are compressed side by side and stored in order, with the standard seek table at
 * the end. Memory is bounded: `append` waits while too many frames are under way. One call at a time.
 */
export class FrameWriter {
  readonly #options: FrameWriterOptions;
  readonly #maxInFlight: number;
  readonly #free: FrameBuffers[] = [];
  readonly #table = new SeekTableBuilder();
  #current: FrameBuffers;
  #view: Buffer;
  #filled = 0;
  #inFlight = 0;
  #contentBytes = 0;
  /** Resolves when the last submitted frame is stored. */
  #tail: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: FrameWriterOptions) {
    this.#options = options;
    this.#maxInFlight = options.pool.threadCount + 1;
    this.#current = options.pool.borrow(options.frameBytes);
    this.#view = this.#current.source;
  }

  /** Uncompressed bytes so far. */
  get contentBytes(): number {
    return this.#contentBytes;
  }

  get frameCount(): number {
    return this.#table.frameCount;
  }

  /** Copies `data`; undefined (no wait) while it fits in the frame at hand. */
  append(data: Buffer): Promise<void> | undefined {
    if (this.#failure === undefined && data.length <= this.#view.length - this.#filled) {
      this.#put(data);
      return undefined;
    }
    return this.#appendAcross(data);
  }

  /** Appends `count` zeros. */
  async appendZeros(count: number): Promise<void> {
    const zeros = Buffer.alloc(Math.min(count, 65536));
    for (let left = count; left > 0; left -= zeros.length) {
      await this.append(left < zeros.length ? zeros.subarray(0, left) : zeros);
    }
  }

  /** Puts in a frame that was made elsewhere, after what was appended; `release` is called when it is stored, or never will be. */
  async insert(frame: Buffer, contentBytes: number, release: () => void): Promise<void> {
    if (this.#filled > 0) await this.#submit(true);
    this.#throwIfBroken();
    this.#contentBytes += contentBytes;
    this.#inFlight += 1;
    this.#tail = this.#store(this.#tail, Promise.resolve(frame.length), frame, contentBytes, release);
    await this.#room();
  }

  /** Stores what is left and the seek table. */
  async finish(): Promise<void> {
    if (this.#filled > 0) await this.#submit(false);
    await this.#tail;
    this.#throwIfBroken();
    await this.#options.sink(this.#table.finish());
    this.#giveBack();
  }

  /** The end: waits until no frame is under way any more, whether stored or failed. Never throws. */
  async settle(): Promise<void> {
    await this.#tail;
    this.#giveBack();
  }

  /** The buffers go to the next run; nothing can be appended any more. */
  #giveBack(): void {
    const { pool, frameBytes } = this.#options;
    if (this.#view !== noRoom) this.#free.push(this.#current);
    this.#view = noRoom;
    this.#failure ??= { error: new Error('the frames have ended') };
    pool.giveBack(frameBytes, this.#free.splice(0));
  }

  #put(data: Buffer): void {
    data.copy(this.#view, this.#filled);
    this.#filled += data.length;
    this.#contentBytes += data.length;
  }

  async #appendAcross(data: Buffer): Promise<void> {
    let offset = 0;
    while (offset < data.length) {
      if (this.#filled === this.#view.length) await this.#submit(true);
      this.#throwIfBroken();
      const length = Math.min(data.length - offset, this.#view.length - this.#filled);
      this.#put(data.subarray(offset, offset + length));
      offset += length;
    }
  }

  async #submit(more: boolean): Promise<void> {
    this.#throwIfBroken();
    const { pool, frameBytes, compressionLevel } = this.#options;
    const sourceBytes = this.#filled;
    const buffers = this.#current;
    const compressed = pool.compress(buffers.source, sourceBytes, buffers.target, compressionLevel);
    this.#inFlight += 1;
    this.#filled = 0;
    // Nothing may be put there until another frame takes its place.
    this.#view = noRoom;
    this.#tail = this.#store(this.#tail, compressed, buffers.target, sourceBytes, () => this.#free.push(buffers));
    if (!more) return;
    await this.#room();
    this.#current = this.#free.pop() ?? pool.borrow(frameBytes);
    this.#view = this.#current.source;
  }

  /** Waits while too many frames are under way. */
  async #room(): Promise<void> {
    while (this.#inFlight >= this.#maxInFlight && this.#failure === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    this.#throwIfBroken();
  }

  /** Never rejects: a failure is kept and thrown at the next call. */
  async #store(
    before: Promise<void>,
    compressed: Promise<number>,
    target: Buffer,
    contentBytes: number,
    release: () => void,
  ): Promise<void> {
    const [frame] = await Promise.allSettled([compressed, before]);
    try {
      this.#throwIfBroken();
      if (frame.status === 'rejected') throw frame.reason;
      await this.#options.sink(target.subarray(0, frame.value));
      this.#table.add({ storedBytes: frame.value, contentBytes });
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      release();
      this.#inFlight -= 1;
      this.#wake?.();
    }
  }

  #throwIfBroken(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#options.signal.throwIfAborted();
  }
}
