/** Works on several items at a time and gives the results in the order of the items. */
export async function* inOrder<Item, Result>(
  items: AsyncIterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const pending: Promise<Result>[] = [];
  try {
    for await (const item of items) {
      const result = work(item);
      // Thrown when its turn comes; never unhandled before.
      result.catch(() => undefined);
      pending.push(result);
      if (pending.length < atOnce) continue;
      const first = pending.shift();
      if (first !== undefined) yield await first;
    }
    for (let first = pending.shift(); first !== undefined; first = pending.shift()) yield await first;
  } finally {
    await Promise.allSettled(pending);
  }
}

/** Starts work, a bounded number at a time; the first failure stops what has not begun. */
export class WorkSlots {
  readonly #atOnce: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | null = null;

  constructor(atOnce: number) {
    this.#atOnce = Math.max(1, atOnce);
  }

  /** Resolves when the work has begun. Throws what earlier work threw. */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#atOnce) await Promise.race(this.#running);
    this.#throwFailure();
    const running = work()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  /** Waits for all. Throws what one of them threw. */
  async finished(): Promise<void> {
    await this.settled();
    this.#throwFailure();
  }

  /** Waits for all, however they end. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running);
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
