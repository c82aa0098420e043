import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { XVaultError } from '@xvault/shared/errors.ts';
import zstd from 'zstd-napi/binding.js';
import type { CompressRequest, CompressResponse } from './compress-thread.ts';

interface Job {
  readonly request: CompressRequest;
  readonly resolve: (targetBytes: number) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly jobs: Map<number, Job>;
}

/** Memory of one frame, shared with the threads. */
export interface FrameBuffers {
  readonly source: SharedArrayBuffer;
  readonly target: SharedArrayBuffer;
}

/** Two a thread: the next frame waits there while the main thread is busy elsewhere. */
const jobsPerThread = 2;
/** Beyond this, the one thread that feeds them is what limits. */
const maxDefaultThreads = 16;

/** Compresses frames on threads; one pool serves all runs of a process. Threads start with the first frames. */
export class CompressPool {
  readonly threadCount: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Job[] = [];
  /** Kept for later runs: a thread's collector is slow to let go of shared memory that it has seen. */
  readonly #idleBuffers = new Map<number, FrameBuffers[]>();
  #nextId = 1;
  #closed = false;

  constructor(threadCount: number = Math.min(availableParallelism(), maxDefaultThreads)) {
    this.threadCount = threadCount;
  }

  /**
   * Compresses the first `sourceBytes` of `source` into `target` as one zstd frame that states its content's size; resolves
   * to its length in `target`. Neither may be touched until then. Callers bound how many frames they have in here.
   */
  compress(source: SharedArrayBuffer, sourceBytes: number, target: SharedArrayBuffer, level: number): Promise<number> {
    if (this.#closed) return Promise.reject(closedError());
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const request = { id: this.#nextId, source, sourceBytes, target, level };
    this.#nextId += 1;
    this.#waiting.push({ request, resolve, reject });
    this.#dispatch();
    return promise;
  }

  /** Buffers for a frame of so much content; to be given back when no frame is in them. */
  borrow(frameBytes: number): FrameBuffers {
    const idle = this.#idleBuffers.get(frameBytes)?.pop();
    if (idle !== undefined) return idle;
    return { source: new SharedArrayBuffer(frameBytes), target: new SharedArrayBuffer(zstd.compressBound(frameBytes)) };
  }

  giveBack(frameBytes: number, buffers: readonly FrameBuffers[]): void {
    const idle = this.#idleBuffers.get(frameBytes) ?? [];
    this.#idleBuffers.set(frameBytes, idle);
    idle.push(...buffers);
  }

  /** Ends all threads; frames that are not done fail. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#waiting.splice(0)) job.reject(closedError());
    await Promise.all([...this.#threads].map((thread) => thread.worker.terminate()));
  }

  #dispatch(): void {
    for (let job = this.#waiting[0]; job !== undefined; job = this.#waiting[0]) {
      const thread = this.#leastBusy();
      if (thread === undefined) return;
      this.#waiting.shift();
      thread.jobs.set(job.request.id, job);
      // An idle pool must not keep a process alive; a busy one must.
      thread.worker.ref();
      thread.worker.postMessage(job.request);
    }
  }

  #leastBusy(): Thread | undefined {
    let best: Thread | undefined;
    for (const thread of this.#threads) {
      if (thread.jobs.size < (best?.jobs.size ?? jobsPerThread)) best = thread;
    }
    if (best?.jobs.size !== 0 && this.#threads.size < this.threadCount) return this.#startThread();
    return best;
  }

  #startThread(): Thread {
    const worker = new Worker(new URL('./compress-thread.ts', import.meta.url), { name: 'compress' });
    const thread: Thread = { worker, jobs: new Map() };
    this.#threads.add(thread);
    worker.on('message', (response: CompressResponse) => this.#settle(thread, response));
    worker.on('messageerror', (error) => this.#lose(thread, error));
    worker.on('error', (error) => this.#lose(thread, error));
    worker.on('exit', (code) => this.#lose(thread, `exit code ${code}`));
    worker.unref();
    return thread;
  }

  #settle(thread: Thread, response: CompressResponse): void {
    const job = thread.jobs.get(response.id);
    thread.jobs.delete(response.id);
    if (thread.jobs.size === 0) thread.worker.unref();
    if ('error' in response) job?.reject(failedError(response.error));
    else job?.resolve(response.targetBytes);
    this.#dispatch();
  }

  /** A thread that ended takes its frames with it: their runs fail, and the next frame starts another thread. */
  #lose(thread: Thread, reason: unknown): void {
    if (!this.#threads.delete(thread)) return;
    for (const job of thread.jobs.values()) {
      job.reject(this.#closed ? closedError() : failedError(`the thread ended: ${String(reason)}`));
    }
    thread.jobs.clear();
    if (!this.#closed) this.#dispatch();
  }
}

function failedError(detail: string): XVaultError {
  return new XVaultError('INTERNAL', { detail: `compression failed: ${detail}` });
}

function closedError(): XVaultError {
  return new XVaultError('INTERNAL', { detail: 'the compression pool is closed' });
}
