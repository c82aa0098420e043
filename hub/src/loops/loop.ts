import type { Logger } from '@xvault/shared/logging.ts';
import { createWakeUp } from './wake-up.ts';

export interface Loop {
  /** Does the next round at once. */
  wake(): void;
  /** Lets the round under way end, and starts none after it. */
  stop(): Promise<void>;
}

/** Does `round` again and again: when woken, when it says that there is more to do, else every `intervalMs`. It survives errors. */
export function startLoop(
  name: string,
  intervalMs: number,
  logger: Logger,
  round: (signal: AbortSignal) => Promise<{ more: boolean }>,
): Loop {
  const stopping = new AbortController();
  const wakeUp = createWakeUp(stopping.signal);
  let isFailing = false;

  async function tryRound(): Promise<boolean> {
    try {
      const { more } = await round(stopping.signal);
      if (isFailing) logger.info({ loop: name }, 'background work succeeds again');
      isFailing = false;
      return more;
    } catch (error) {
      // Once for each time it breaks: what is away stays away for many rounds.
      logger[isFailing ? 'debug' : 'warn']({ err: error, loop: name }, 'background work failed; trying again');
      isFailing = true;
      return false;
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (!(await tryRound()) || isFailing) await wakeUp.wait(intervalMs);
    }
  }
  const ended = run();
  return {
    wake: wakeUp.wake,
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}
