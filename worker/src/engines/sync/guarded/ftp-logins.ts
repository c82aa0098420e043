import { setTimeout as sleep } from 'node:timers/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import { FTPError } from 'basic-ftp';
import { nameToWire } from '../../../connectors/ftp/names.ts';
import { type FtpServer, logInToFtp } from './ftp-login.ts';
import { FtpUpstream } from './ftp-upstream.ts';

/** Servers may count a login for a moment after its end. */
const busyDelaysMs = [100, 400, 1500];

/** What was seen of a server. */
export interface ServerHabits {
  /** What lists a directory with all that it holds, without a path. */
  readonly listCommand: 'LIST' | 'LIST -a';
  /** Its listings have no exact times, so that clients ask for that of each file. */
  readonly isAskedForTimes: boolean;
}

/** The logins of one run at one server, which may allow fewer than are wanted. */
export class FtpLogins {
  readonly habits: ServerHabits;
  /** How many the server lets in at a time, of those that are wanted. */
  readonly most: number;
  readonly #server: FtpServer;
  readonly #spare: FtpUpstream[];
  readonly #used = new Set<FtpUpstream>();
  readonly #leaving = new Set<Promise<void>>();
  #open = 0;

  private constructor(server: FtpServer, spare: FtpUpstream[], habits: ServerHabits) {
    this.#server = server;
    this.#spare = spare;
    this.most = spare.length;
    this.habits = habits;
    for (const each of spare) this.#count(each);
  }

  /** Logs in once, and again for as long as the server lets it. Throws SOURCE_… where it does not even once, or the signal's reason. */
  static async open(server: FtpServer, wanted: number, signal: AbortSignal): Promise<FtpLogins> {
    const spare: FtpUpstream[] = [];
    try {
      const first = new FtpUpstream(await logInOnce(server, signal), server);
      spare.push(first);
      const habits = await habitsOf(first, server, signal);
      signal.throwIfAborted();
      // One that did not answer to what it was asked is of no more use.
      if (first.control.closed) spare.pop();
      while (spare.length < wanted) {
        const further = await logInToFtp(server, signal).catch((error: unknown) => {
          if (spare.length === 0) throw error;
          return null;
        });
        signal.throwIfAborted();
        if (further === null) break;
        spare.push(new FtpUpstream(further, server));
      }
      return new FtpLogins(server, spare, habits);
    } catch (error) {
      await Promise.all(spare.map((each) => each.leave()));
      signal.throwIfAborted();
      throw error;
    }
  }

  /** One for a session, to be given back. Throws SOURCE_…, or the signal's reason. */
  async take(signal: AbortSignal): Promise<FtpUpstream> {
    for (let spare = this.#spare.pop(); spare !== undefined; spare = this.#spare.pop()) {
      if (!spare.control.closed) return this.#lend(spare);
    }
    // What is being left may take the place that is wanted.
    while (this.#open >= this.most && this.#leaving.size > 0) await Promise.race(this.#leaving);
    for (const delayMs of [...busyDelaysMs, null]) {
      try {
        const made = new FtpUpstream(await logInToFtp(this.#server, signal), this.#server);
        this.#count(made);
        return this.#lend(made);
      } catch (error) {
        signal.throwIfAborted();
        // The login was right before, so a refusal is about how many there are.
        const isBusy = error instanceof XVaultError && refusals.has(error.code);
        if (!isBusy) throw error;
        if (delayMs === null) throw new XVaultError('SOURCE_RATE_LIMITED', { cause: error });
        await sleep(delayMs, undefined, { signal });
      }
    }
    throw new XVaultError('SOURCE_LOST');
  }

  giveBack(upstream: FtpUpstream): void {
    if (!this.#used.delete(upstream)) return;
    const leaving = upstream.leave();
    this.#leaving.add(leaving);
    leaving.then(() => this.#leaving.delete(leaving));
  }

  async close(): Promise<void> {
    for (const each of [...this.#spare.splice(0), ...this.#used]) {
      this.#used.add(each);
      this.giveBack(each);
    }
    await Promise.all(this.#leaving);
  }

  #lend(upstream: FtpUpstream): FtpUpstream {
    this.#used.add(upstream);
    return upstream;
  }

  #count({ control }: FtpUpstream): void {
    this.#open += 1;
    control.ended.then(() => {
      this.#open -= 1;
    });
  }
}

/** A server may still count who was there a moment ago, such as the test of this connection. */
async function logInOnce(server: FtpServer, signal: AbortSignal): ReturnType<typeof logInToFtp> {
  for (const delayMs of busyDelaysMs) {
    try {
      return await logInToFtp(server, signal);
    } catch (error) {
      const isBusy = error instanceof XVaultError && error.cause instanceof FTPError && error.cause.code === 421;
      if (!isBusy) throw error;
      await sleep(delayMs, undefined, { signal });
    }
  }
  return logInToFtp(server, signal);
}

async function habitsOf(upstream: FtpUpstream, server: FtpServer, signal: AbortSignal): Promise<ServerHabits> {
  const stop = AbortSignal.any([signal, AbortSignal.timeout(server.timeouts.loginMs)]);
  const close = () => upstream.control.close();
  stop.addEventListener('abort', close, { once: true });
  try {
    return await seenOf(upstream, server);
  } catch {
    // Such a server lists nothing for rclone either, which tells why.
    upstream.control.close();
    return { listCommand: 'LIST', isAskedForTimes: true };
  } finally {
    stop.removeEventListener('abort', close);
  }
}

async function seenOf(upstream: FtpUpstream, { config }: FtpServer): Promise<ServerHabits> {
  const features = await upstream.features();
  // MLSD hides nothing.
  if (features.has('MLST')) return { listCommand: 'LIST', isAskedForTimes: false };
  const path = nameToWire(Buffer.from(config.path), config.encoding);
  const listsHidden = path !== undefined && (await upstream.listsHidden(path));
  return { listCommand: listsHidden ? 'LIST -a' : 'LIST', isAskedForTimes: features.has('MDTM') };
}

const refusals: ReadonlySet<string> = new Set(['SOURCE_AUTH_FAILED', 'SOURCE_CONNECTION_REFUSED', 'SOURCE_PROTOCOL']);
