/** A queue between one producer and one consumer that makes the producer wait while what it holds weighs its capacity. */
export class BoundedQueue<T> {
  readonly #capacity: number;
  readonly #items: { readonly item: T; readonly weight: number }[] = [];
  #weight = 0;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;
  #producer: (() => void) | undefined;
  #consumer: (() => void) | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Waits for room, then makes the item; makes none when the queue is closed. */
  async push(make: () => T, weight = 1): Promise<void> {
    while (this.#weight >= this.#capacity && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#producer = resolve;
      await promise;
    }
    if (this.#closed) return;
    this.#items.push({ item: make(), weight });
    this.#weight += weight;
    this.#consumer?.();
  }

  /** No more items come; the consumer still gets those that are there. */
  close(): void {
    this.#closed = true;
    this.#producer?.();
    this.#consumer?.();
  }

  /** Takes away what no consumer has come to. */
  drain(): T[] {
    this.#weight = 0;
    return this.#items.splice(0).map(({ item }) => item);
  }

  /** Closes; the consumer gets what is there and then the error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      const first = this.#items[0];
      if (first !== undefined) {
        yield first.item;
        // Kept until the consumer is done with it, so that it counts.
        this.#items.shift();
        this.#weight = this.#items.reduce((sum, { weight }) => sum + weight, 0);
        this.#producer?.();
      } else if (this.#closed) {
        if (this.#failure !== undefined) throw this.#failure.error;
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#consumer = resolve;
        await promise;
      }
    }
  }
}
