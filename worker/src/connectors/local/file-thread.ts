import { Worker } from 'node:worker_threads';
import { XVaultError } from '@xvault/shared/errors.ts';
import { untilAborted } from '../../net/until-aborted.ts';
import type { RootDirectory } from './directory-cursor.ts';
import type {
  CountReply,
  ItemsReply,
  OpenReply,
  ReadReply,
  ThreadData,
  ThreadReply,
  ThreadRequest,
} from './thread-protocol.ts';

/** A thread that a system call holds (a dead network file system) is not waited for longer. */
const closeTimeoutMs = 5000;

/** What these threads make lives for a moment; without a bound each keeps 48 MiB of it. */
const resourceLimits = { maxYoungGenerationSizeMb: 8 };

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A thread that works on the file system below one root. Requests are answered in order; any number may wait. */
export class FileThread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  readonly #ended: Promise<void>;
  #failure: XVaultError | undefined;

  constructor(root: RootDirectory) {
    const workerData: ThreadData = { rootFd: root.fd, rootPath: root.path };
    // Files opened by the thread are closed by others, so it must not close them a second time when it ends.
    this.#worker = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData,
      trackUnmanagedFds: false,
      resourceLimits,
    });
    this.#worker.on('message', (reply: ThreadReply) => this.#receive(reply));
    this.#worker.on('error', (cause) => this.#fail(`the thread failed: ${String(cause)}`, cause));
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#fail('the thread has ended');
        resolve();
      });
    });
  }

  /** Requests sent and not answered yet. */
  get load(): number {
    return this.#waiting.length;
  }

  walk(oneFileSystem: boolean): Promise<undefined> {
    return this.#call({ op: 'walk', oneFileSystem });
  }

  items(): Promise<ItemsReply> {
    return this.#call({ op: 'items' });
  }

  count(): Promise<CountReply> {
    return this.#call({ op: 'count' });
  }

  read(request: Omit<Extract<ThreadRequest, { op: 'read' }>, 'op'>): Promise<ReadReply> {
    return this.#call({ op: 'read', ...request }, [request.paths]);
  }

  open(path: Buffer): Promise<OpenReply> {
    return this.#call({ op: 'open', path });
  }

  async close(): Promise<void> {
    if (!this.#failure) this.#call({ op: 'close' }).catch(() => undefined);
    try {
      await untilAborted(this.#ended, AbortSignal.timeout(closeTimeoutMs));
    } catch {
      // Its descriptors stay open then; there is no other way to be rid of it.
      await this.#worker.terminate();
    }
  }

  #call<T>(request: ThreadRequest, transfer: ArrayBuffer[] = []): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#waiting.push({ resolve: resolve as Waiting['resolve'], reject });
      return this.#worker.postMessage(request, transfer);
    });
  }

  #receive(reply: ThreadReply): void {
    const waiting = this.#waiting.shift();
    if (reply.ok) waiting?.resolve(reply.value);
    else
      waiting?.reject(new XVaultError('SOURCE_READ_FAILED', { detail: `${reply.code ?? 'error'}: ${reply.message}` }));
  }

  #fail(detail: string, cause?: unknown): void {
    this.#failure ??= new XVaultError('SOURCE_READ_FAILED', { detail, cause });
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}
