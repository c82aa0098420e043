import type { Duplex } from 'node:stream';
import { Wire } from './wire.ts';

/** Servers close what is idle for long, and a request that is on its way then is lost. */
const maxIdleMs = 4000;

export interface Lent {
  readonly wire: Wire;
  /** It has carried a request before, so the server may just be closing it. */
  readonly isUsed: boolean;
}

/** Open connections to one server. */
export class OriginPool {
  readonly #dial: () => Promise<Duplex>;
  readonly #open = new Set<Wire>();
  #idle: { readonly wire: Wire; readonly sinceMs: number }[] = [];

  constructor(dial: () => Promise<Duplex>) {
    this.#dial = dial;
  }

  /** Throws what dialling throws. */
  async take(): Promise<Lent> {
    for (let last = this.#idle.pop(); last !== undefined; last = this.#idle.pop()) {
      const { wire, sinceMs } = last;
      if (wire.isQuiet && performance.now() - sinceMs < maxIdleMs) return { wire, isUsed: true };
      wire.socket.destroy();
    }
    return this.takeNew();
  }

  async takeNew(): Promise<Lent> {
    const socket = await this.#dial();
    const wire = new Wire(socket);
    this.#open.add(wire);
    socket.once('close', () => this.#open.delete(wire));
    return { wire, isUsed: false };
  }

  /** Back, for the next request. */
  give(wire: Wire): void {
    if (wire.isQuiet) this.#idle.push({ wire, sinceMs: performance.now() });
    else wire.socket.destroy();
  }

  close(): void {
    this.#idle = [];
    for (const { socket } of this.#open) socket.destroy();
  }
}
