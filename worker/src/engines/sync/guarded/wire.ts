import type { Duplex } from 'node:stream';
import type { Body } from './http-body.ts';
import { BadMessage } from './http-head.ts';

/** A connection that ended in the middle of something. */
export class CutOff extends Error {
  override readonly name = 'CutOff';
}

const maxHeadBytes = 32 * 1024;
const maxWaitingBytes = 64 * 1024;
/** A pause for each chunk would cost more than the chunk. */
const maxQueuedBytes = 256 * 1024;
const nothing = Buffer.alloc(0);

/** A connection whose bytes are taken in turns: heads by who reads them, bodies by who passes them on. One taker at a time. */
export class Wire {
  readonly socket: Duplex;
  #waiting: Buffer = nothing;
  #isEnded = false;
  #onData: ((chunk: Buffer) => void) | null = null;
  #onChange: (() => void) | null = null;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      if (this.#onData !== null) return this.#onData(chunk);
      this.#waiting = this.#waiting.length === 0 ? chunk : Buffer.concat([this.#waiting, chunk]);
      if (this.#waiting.length > maxWaitingBytes) socket.pause();
      this.#onChange?.();
    });
    socket.on('end', () => {
      this.#isEnded = true;
      this.#onChange?.();
    });
    socket.on('close', () => this.#onChange?.());
  }

  /** Whether it is open and nothing has arrived that nobody asked for. */
  get isQuiet(): boolean {
    return this.#waiting.length === 0 && !this.#isEnded && this.socket.writable && !this.socket.destroyed;
  }

  /** What stands before an empty line, without it; null when the connection ended before it. Throws CutOff, BadMessage. */
  async readHead(): Promise<Buffer | null> {
    for (;;) {
      const end = this.#waiting.indexOf('\r\n\r\n');
      if (end > maxHeadBytes || (end < 0 && this.#waiting.length > maxHeadBytes)) throw new BadMessage('a long head');
      if (end >= 0) {
        const head = this.#waiting.subarray(0, end);
        this.#waiting = this.#waiting.subarray(end + 4);
        return head;
      }
      if (this.#isEnded || this.socket.destroyed) {
        if (this.#waiting.length === 0) return null;
        throw new CutOff('in the middle of a head');
      }
      this.socket.resume();
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
      this.#onChange = null;
    }
  }

  /**
   * Passes a body on, as fast as `to` takes it; when `to` is gone the rest is thrown away. Resolves when the body is complete.
   * Throws CutOff when the connection ends before, BadMessage.
   */
  pass(body: Body, to: Duplex): Promise<void> {
    if (body.isComplete) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let isHeld = false;
    const goOn = () => {
      isHeld = false;
      this.socket.resume();
    };
    const settle = (error: unknown) => {
      this.#onData = null;
      this.#onChange = null;
      to.off('drain', goOn);
      to.off('close', goOn);
      this.socket.resume();
      if (error === null) resolve();
      else reject(error);
    };
    const put = (piece: Buffer | string) => {
      if (to.writable) to.write(piece, 'latin1');
    };
    const take = (chunk: Buffer) => {
      try {
        const rest = body.take(chunk, put);
        if (body.isComplete) {
          this.#waiting = rest;
          settle(null);
        } else if (to.writableLength > maxQueuedBytes && to.writableNeedDrain) {
          isHeld = true;
          this.socket.pause();
        }
      } catch (error) {
        settle(error);
      }
    };
    const first = this.#waiting;
    this.#waiting = nothing;
    to.on('drain', goOn);
    to.on('close', goOn);
    this.#onData = take;
    this.#onChange = () => {
      if (this.#isEnded && body.endsWithConnection) settle(null);
      else if (this.#isEnded || this.socket.destroyed) settle(new CutOff('in the middle of a body'));
    };
    if (first.length > 0) take(first);
    if (!body.isComplete) this.#onChange?.();
    if (!isHeld) this.socket.resume();
    return promise;
  }
}
