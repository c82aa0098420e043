import { availableParallelism } from 'node:os';
import { XVaultError } from '@xvault/shared/errors.ts';
import { native } from '../native/binding.ts';
import { NativeThreads } from '../native/threads.ts';

/** Memory of one frame. */
export interface FrameBuffers {
  readonly source: Buffer;
  readonly target: Buffer;
}

/** Beyond this, the one thread that feeds them is what limits. */
const maxDefaultThreads = 16;

/** Compresses frames on native threads; one pool serves all runs of a process. */
export class CompressPool {
  readonly threadCount: number;
  readonly #threads: NativeThreads;
  /** Kept for later runs: fresh memory costs page faults. */
  readonly #idleSources = new Map<number, Buffer[]>();
  readonly #idleTargets = new Map<number, Buffer[]>();

  constructor(threadCount: number = Math.min(availableParallelism(), maxDefaultThreads)) {
    this.threadCount = threadCount;
    this.#threads = new NativeThreads(threadCount);
  }

  /**
   * Compresses the first `sourceBytes` of `source` into `target` as one zstd frame that states its content's size; resolves
   * to its length in `target`. Neither may be touched until then. Callers bound how many frames they have in here.
   */
  async compress(source: Buffer, sourceBytes: number, target: Buffer, level: number): Promise<number> {
    try {
      return await this.#threads.compress(source, sourceBytes, target, level);
    } catch (cause) {
      throw new XVaultError('INTERNAL', { detail: `compression failed: ${String(cause)}`, cause });
    }
  }

  /** Buffers for a frame of so much content; to be given back when no frame is in them. */
  borrow(frameBytes: number): FrameBuffers {
    const source = this.#idleSources.get(frameBytes)?.pop() ?? Buffer.allocUnsafeSlow(frameBytes);
    return { source, target: this.borrowTarget(frameBytes) };
  }

  /** Room for any frame of so much content. */
  borrowTarget(frameBytes: number): Buffer {
    return this.#idleTargets.get(frameBytes)?.pop() ?? Buffer.allocUnsafeSlow(native.compressBound(frameBytes));
  }

  giveBack(frameBytes: number, buffers: readonly FrameBuffers[]): void {
    for (const { source, target } of buffers) {
      keep(this.#idleSources, frameBytes, source);
      this.giveBackTarget(frameBytes, target);
    }
  }

  giveBackTarget(frameBytes: number, target: Buffer): void {
    keep(this.#idleTargets, frameBytes, target);
  }

  /** Ends all threads; frames that have not begun fail. */
  async close(): Promise<void> {
    this.#threads.close();
  }
}

function keep(idle: Map<number, Buffer[]>, frameBytes: number, buffer: Buffer): void {
  const kept = idle.get(frameBytes);
  if (kept === undefined) idle.set(frameBytes, [buffer]);
  else kept.push(buffer);
}
