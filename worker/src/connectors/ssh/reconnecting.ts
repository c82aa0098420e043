import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { untilAborted } from '../../net/until-aborted.ts';

/** What is connected anew as a whole. */
export interface Link {
  close(): Promise<void>;
}

export interface ReconnectLimits {
  /** Waits before the first and each further attempt after a loss; as many attempts as there are waits. */
  readonly delaysMs: readonly number[];
  /** How often one task is begun again. */
  readonly triesPerTask: number;
  /** Losses in the life of one session. */
  readonly losses: number;
}

export const defaultReconnectLimits: ReconnectLimits = {
  delaysMs: [100, 1000, 3000, 10_000, 30_000],
  triesPerTask: 4,
  losses: 50,
};

/** A server that goes or comes back answers in one of these ways. */
const passing: ReadonlySet<ErrorCode> = new Set([
  'SOURCE_LOST',
  'SOURCE_UNREACHABLE',
  'SOURCE_CONNECTION_REFUSED',
  'SOURCE_TIMEOUT',
  'SOURCE_PROTOCOL',
  'SOURCE_HOST_UNKNOWN',
]);

export function isLoss(error: unknown): error is XVaultError {
  return error instanceof XVaultError && error.code === 'SOURCE_LOST';
}

/** A link that is made again when it breaks. Tasks that were under way begin again, so they must be repeatable. */
export class Reconnecting<T extends Link> {
  readonly #connect: (signal: AbortSignal) => Promise<T>;
  readonly #limits: ReconnectLimits;
  readonly #closing = new AbortController();
  #current: T | undefined;
  #reconnecting: Promise<T> | undefined;
  readonly #waits = new WeakMap<AbortSignal, { reconnecting: Promise<T>; until: Promise<T> }>();
  #losses = 0;
  #final: unknown;

  constructor(first: T, connect: (signal: AbortSignal) => Promise<T>, limits: ReconnectLimits) {
    this.#current = first;
    this.#connect = connect;
    this.#limits = limits;
  }

  /** How often the link has been lost. */
  get losses(): number {
    return this.#losses;
  }

  /** Throws what the task throws; SOURCE_LOST only when connecting again did not help. */
  async run<R>(task: (link: T) => Promise<R>, signal: AbortSignal): Promise<R> {
    for (let tried = 1; ; tried += 1) {
      const link = await this.#live(signal);
      try {
        return await task(link);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (!isLoss(error)) throw error;
        this.dropped(link, error);
        if (tried >= this.#limits.triesPerTask) throw error;
      }
    }
  }

  /** Tells that a link turned out to be broken; the next task connects anew. */
  dropped(link: T, error: XVaultError): void {
    if (this.#current !== link || this.#closing.signal.aborted) return;
    this.#current = undefined;
    this.#losses += 1;
    if (this.#losses > this.#limits.losses) {
      this.#final ??= error;
      void link.close();
      return;
    }
    const reconnecting = this.#reconnect(link, error);
    // Looked at by the tasks; there may be none just now.
    reconnecting.catch(() => undefined);
    this.#reconnecting = reconnecting;
  }

  async close(): Promise<void> {
    this.#final ??= new XVaultError('SOURCE_LOST', { detail: 'the session was closed' });
    this.#closing.abort(this.#final);
    const current = this.#current ?? (await this.#reconnecting?.catch(() => undefined));
    this.#current = undefined;
    await current?.close();
  }

  async #live(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#final !== undefined) throw this.#final;
    if (this.#current) return this.#current;
    if (!this.#reconnecting) throw new XVaultError('SOURCE_LOST', { detail: 'there is no connection' });
    return this.#reconnected(this.#reconnecting, signal);
  }

  /** One listener for all tasks of a signal: there may be hundreds. */
  #reconnected(reconnecting: Promise<T>, signal: AbortSignal): Promise<T> {
    const known = this.#waits.get(signal);
    if (known?.reconnecting === reconnecting) return known.until;
    const until = untilAborted(reconnecting, signal);
    this.#waits.set(signal, { reconnecting, until });
    return until;
  }

  async #reconnect(broken: T, loss: XVaultError): Promise<T> {
    const { signal } = this.#closing;
    await broken.close();
    let last: unknown = loss;
    for (const delayMs of this.#limits.delaysMs) {
      try {
        await sleep(delayMs, undefined, { signal });
        const link = await this.#connect(signal);
        this.#current = link;
        this.#reconnecting = undefined;
        return link;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        last = error;
        if (!(error instanceof XVaultError && passing.has(error.code))) break;
      }
    }
    this.#final = finalError(loss, last);
    throw this.#final;
  }
}

/** A refusal (a changed host key, a login that is no longer let in) is told as itself. */
function finalError(loss: XVaultError, last: unknown): unknown {
  if (last instanceof XVaultError && passing.has(last.code) && last !== loss) {
    const detail = `${loss.detail ?? 'lost'}; connecting again failed: ${last.code} ${last.detail ?? ''}`.trimEnd();
    return new XVaultError('SOURCE_LOST', { detail, cause: last });
  }
  return last;
}
