/** A bell for one waiter: a ring while nobody waits is kept for the next wait. */
export interface WakeUp {
  wake(): void;
  /** True when it was rung, false when `timeoutMs` passed or the signal aborted first. */
  wait(timeoutMs: number): Promise<boolean>;
}

export function createWakeUp(signal: AbortSignal): WakeUp {
  let rung = false;
  let settle: ((rung: boolean) => void) | undefined;
  return {
    wake() {
      if (settle === undefined) rung = true;
      else settle(true);
    },
    async wait(timeoutMs) {
      if (rung) {
        rung = false;
        return true;
      }
      if (signal.aborted) return false;
      let timer: NodeJS.Timeout | undefined;
      const onAbort = (): void => settle?.(false);
      try {
        return await new Promise<boolean>((resolve) => {
          settle = resolve;
          timer = setTimeout(() => resolve(false), timeoutMs);
          signal.addEventListener('abort', onAbort, { once: true });
        });
      } finally {
        settle = undefined;
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      }
    },
  };
}
