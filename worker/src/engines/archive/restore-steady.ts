import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import type { TargetAbilities, TargetSession } from '../../connectors/target.ts';

/** What a new connection may mend. */
const mendable: ReadonlySet<ErrorCode> = new Set([
  'SOURCE_LOST',
  'SOURCE_TIMEOUT',
  'SOURCE_UNREACHABLE',
  'SOURCE_CONNECTION_REFUSED',
]);
const triesInRow = 4;
const firstDelayMs = 500;

/** A target whose connection is made anew when it breaks. Work that was under way is done again, so it must bear that. */
export class SteadyTarget {
  readonly #connect: () => Promise<TargetSession>;
  readonly #signal: AbortSignal;
  #session: Promise<TargetSession>;
  #lossesInRow = 0;
  readonly abilities: TargetAbilities;
  readonly writesInFlight: number;
  readonly linksHard: boolean;

  private constructor(session: TargetSession, connect: () => Promise<TargetSession>, signal: AbortSignal) {
    this.#connect = connect;
    this.#signal = signal;
    this.#session = Promise.resolve(session);
    this.abilities = session.abilities;
    this.writesInFlight = session.writesInFlight;
    this.linksHard = session.makeHardlink !== undefined;
  }

  static async open(connect: () => Promise<TargetSession>, signal: AbortSignal): Promise<SteadyTarget> {
    return new SteadyTarget(await connect(), connect, signal);
  }

  /** Throws what `work` throws, when a new connection would not help or could not be had. */
  async do<T>(work: (session: TargetSession) => Promise<T>): Promise<T> {
    for (;;) {
      this.#signal.throwIfAborted();
      const current = this.#session;
      try {
        const result = await work(await current);
        this.#lossesInRow = 0;
        return result;
      } catch (error) {
        this.#signal.throwIfAborted();
        if (!isMendable(error)) throw error;
        // Of those that work at the same time, the first to notice mends it for all.
        if (this.#session !== current) continue;
        this.#lossesInRow += 1;
        if (this.#lossesInRow > triesInRow) throw error;
        this.#session = this.#mend(current);
        this.#session.catch(() => undefined);
      }
    }
  }

  async close(): Promise<void> {
    const [session] = await Promise.allSettled([this.#session]);
    if (session.status === 'fulfilled') await session.value.close();
  }

  async #mend(broken: Promise<TargetSession>): Promise<TargetSession> {
    const [session] = await Promise.allSettled([broken]);
    // A broken connection may well complain about being closed.
    if (session.status === 'fulfilled') await session.value.close().catch(() => undefined);
    await sleep(firstDelayMs * 2 ** (this.#lossesInRow - 1), undefined, { signal: this.#signal });
    return this.#connect();
  }
}

function isMendable(error: unknown): boolean {
  return error instanceof XVaultError && mendable.has(error.code);
}
