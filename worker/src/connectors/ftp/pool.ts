import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import { FtpConnection } from './connection.ts';
import { isFinal, isRefusal, lostError } from './errors.ts';
import type { ConnectionSettings } from './settings.ts';

export interface PoolSettings extends ConnectionSettings {
  /** Waits before each further try after a loss. */
  readonly retryDelaysMs: readonly number[];
}

/** Servers end connections that say nothing for some minutes: one that was idle for so long is asked first. */
const freshMs = 20_000;

interface Idle {
  readonly connection: FtpConnection;
  readonly sinceMs: number;
}

/** Some connections to one server, made as they are needed. */
export class FtpPool {
  readonly #settings: PoolSettings;
  readonly #idle: Idle[] = [];
  readonly #inUse = new Set<FtpConnection>();
  readonly #waiting: (() => void)[] = [];
  #making = 0;
  /** Goes down where the server allows fewer than the source's config asks for. */
  #limit: number;
  #closed = false;

  constructor(settings: PoolSettings, first?: FtpConnection) {
    this.#settings = settings;
    this.#limit = settings.config.connections;
    if (first !== undefined) this.#idle.push({ connection: first, sinceMs: performance.now() });
  }

  /** How many connections work side by side. */
  get width(): number {
    return this.#limit;
  }

  /**
   * Does something on a connection of its own, which is given back when it ends, or closed where it failed otherwise than by a
   * refusal. Throws FTPError for a refusal, SOURCE_… errors, or the signal's reason.
   */
  async use<T>(signal: AbortSignal, work: (connection: FtpConnection) => Promise<T>): Promise<T> {
    const connection = await this.acquire(signal);
    const onAbort = () => connection.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const result = await work(connection);
      this.release(connection);
      return result;
    } catch (error) {
      if (isRefusal(error)) this.release(connection);
      else this.discard(connection);
      signal.throwIfAborted();
      throw isRefusal(error) ? error : lostError(error);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** The same, again on another connection where one was lost. For what may be done twice. */
  async retrying<T>(signal: AbortSignal, work: (connection: FtpConnection) => Promise<T>): Promise<T> {
    for (let tried = 0; ; tried += 1) {
      try {
        return await this.use(signal, work);
      } catch (error) {
        signal.throwIfAborted();
        if (isRefusal(error) || isFinal(error) || !(await this.pause(tried, signal))) throw error;
      }
    }
  }

  /** Waits before another try; false when there has been the last one. */
  async pause(tried: number, signal: AbortSignal): Promise<boolean> {
    const delayMs = this.#settings.retryDelaysMs[tried];
    if (delayMs === undefined || this.#closed) return false;
    try {
      await sleep(delayMs, undefined, { signal });
    } catch {
      throw signal.reason;
    }
    return true;
  }

  async acquire(signal: AbortSignal): Promise<FtpConnection> {
    for (;;) {
      if (signal.aborted) {
        // Whoever was woken for nothing passes it on.
        this.#waiting.shift()?.();
        throw signal.reason;
      }
      if (this.#closed) throw new XVaultError('SOURCE_LOST', { detail: 'the session was closed' });
      const idle = this.#idle.pop();
      if (idle !== undefined) {
        this.#inUse.add(idle.connection);
        if (await this.#isAlive(idle)) return idle.connection;
        this.discard(idle.connection);
      } else if (this.#inUse.size + this.#making < this.#limit) {
        const made = await this.#make(signal);
        if (made !== undefined) return made;
      } else {
        await this.#turn(signal);
      }
    }
  }

  release(connection: FtpConnection): void {
    this.#inUse.delete(connection);
    if (this.#closed || connection.closed) connection.close();
    else this.#idle.push({ connection, sinceMs: performance.now() });
    this.#waiting.shift()?.();
  }

  discard(connection: FtpConnection): void {
    this.#inUse.delete(connection);
    connection.close();
    this.#waiting.shift()?.();
  }

  close(): void {
    this.#closed = true;
    for (const { connection } of this.#idle.splice(0)) connection.close();
    for (const connection of this.#inUse) connection.close();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #isAlive({ connection, sinceMs }: Idle): Promise<boolean> {
    if (connection.closed) return false;
    if (performance.now() - sinceMs < freshMs) return true;
    return connection.command('NOOP').then(
      () => true,
      (error) => isRefusal(error),
    );
  }

  /** Undefined where the server lets no further one in beside those that there are. */
  async #make(signal: AbortSignal): Promise<FtpConnection | undefined> {
    this.#making += 1;
    try {
      const connection = await FtpConnection.open(this.#settings, signal);
      this.#inUse.add(connection);
      return connection;
    } catch (error) {
      signal.throwIfAborted();
      const others = this.#inUse.size + this.#idle.length;
      if (others === 0) throw error;
      this.#limit = others;
      return undefined;
    } finally {
      this.#making -= 1;
      // One that waits may have been waiting for this place.
      this.#waiting.shift()?.();
    }
  }

  /** Resolves when something was given back. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        const at = this.#waiting.indexOf(wake);
        if (at !== -1) this.#waiting.splice(at, 1);
        resolve();
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.push(wake);
    });
  }
}
