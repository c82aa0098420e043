/** What the Hub allows one run, in bytes a second. */
export class RunBandwidth {
  #limitBps: number | null;
  readonly #listeners = new Set<() => void>();

  constructor(limitBps: number | null) {
    this.#limitBps = limitBps;
  }

  /** Null for no limit. */
  get limitBps(): number | null {
    return this.#limitBps;
  }

  set(limitBps: number | null): void {
    if (limitBps === this.#limitBps) return;
    this.#limitBps = limitBps;
    for (const listener of this.#listeners) listener();
  }

  /** Called after each change. Returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
