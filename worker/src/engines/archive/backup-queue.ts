/** A queue between one producer and one consumer that makes the producer wait while it is full. */
export class BoundedQueue<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
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
  async push(make: () => T): Promise<void> {
    while (this.#items.length >= this.#capacity && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#producer = resolve;
      await promise;
    }
    if (this.#closed) return;
    this.#items.push(make());
    this.#consumer?.();
  }

  /** No more items come; the consumer still gets those that are there. */
  close(): void {
    this.#closed = true;
    this.#producer?.();
    this.#consumer?.();
  }

  /** Closes; the consumer gets what is there and then the error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      const item = this.#items[0];
      if (item !== undefined) {
        yield item;
        // Kept until the consumer is done with it, so that it counts.
        this.#items.shift();
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
