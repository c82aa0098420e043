/** Counts what runs at once. `acquire` waits for its turn, first come first served. */
export class Slots {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #inUse = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get inUse(): number {
    return this.#inUse;
  }

  get free(): number {
    return this.#limit - this.#inUse;
  }

  /** Takes a slot if one is free now. */
  tryAcquire(): boolean {
    if (this.#inUse >= this.#limit) return false;
    this.#inUse += 1;
    return true;
  }

  async acquire(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.tryAcquire()) return;
    await new Promise<void>((resolve, reject) => {
      const give = (): void => {
        signal.removeEventListener('abort', abandon);
        resolve();
      };
      const abandon = (): void => {
        const index = this.#waiting.indexOf(give);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(signal.reason);
      };
      this.#waiting.push(give);
      signal.addEventListener('abort', abandon, { once: true });
    });
  }

  /** Gives the slot to the one who waits longest, or back. */
  release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#inUse -= 1;
  }
}
