import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { DataConnection } from '../../../connectors/ftp/data-connection.ts';

export type Direction = 'download' | 'upload';

type Change = (chunk: Buffer) => Buffer;

export interface ChannelLimits {
  /** From when the port is told until somebody comes. */
  readonly acceptMs: number;
  /** From the last byte of a download until the server's word on it. */
  readonly verdictMs: number;
}

/**
 * One data connection: a loopback port for one client, once, joined with the server's end. What breaks at one end is broken at
 * the other too: a reset, never an end in order, which would make a part of a file look like all of it.
 */
export class DataChannel {
  readonly #listener: Server;
  readonly #far: DataConnection;
  readonly #limits: ChannelLimits;
  readonly #arrived = Promise.withResolvers<Socket>();
  readonly #verdict = Promise.withResolvers<void>();
  #near: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #direction: Direction | undefined;
  #port = 0;
  #isBroken = false;

  private constructor(listener: Server, far: DataConnection, limits: ChannelLimits) {
    this.#listener = listener;
    this.#far = far;
    this.#limits = limits;
    for (const end of [far.socket, far.plain]) end.on('error', () => this.breakOff());
    listener.on('connection', (near) => this.#accept(near));
    listener.on('error', () => this.breakOff());
    this.#timer = setTimeout(() => this.breakOff(), limits.acceptMs);
  }

  /** Throws SOURCE_LOST where the server's end has broken already. */
  static async open(far: DataConnection, limits: ChannelLimits): Promise<DataChannel> {
    const listener = createServer({ allowHalfOpen: true, noDelay: true });
    const channel = new DataChannel(listener, far, limits);
    try {
      listener.listen(0, '127.0.0.1', 1);
      await once(listener, 'listening');
      const address = listener.address();
      if (address === null || typeof address === 'string') {
        throw new XVaultError('SOURCE_LOST', { detail: 'the data connection broke' });
      }
      channel.#port = address.port;
      return channel;
    } catch (error) {
      channel.breakOff();
      throw error;
    }
  }

  /** On loopback. */
  get port(): number {
    return this.#port;
  }

  /** Moves bytes from now on. `change` is of what is downloaded. */
  begin(direction: Direction, change: Change | null): void {
    this.#direction = direction;
    const moved = direction === 'download' ? this.#download(change) : this.#upload();
    moved.catch(() => this.breakOff());
  }

  /** Takes the server's word on the transfer. Tells whether it was whole: a server may not have noticed what broke. */
  settle(isWhole: boolean): boolean {
    if (!isWhole || this.#isBroken) {
      this.breakOff();
      return false;
    }
    clearTimeout(this.#timer);
    this.#verdict.resolve();
    if (this.#direction === 'upload') this.#near?.end();
    return true;
  }

  /** Ends it at once, at both ends as a loss. */
  breakOff(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    clearTimeout(this.#timer);
    this.#listener.close();
    if (this.#near !== undefined) reset(this.#near, this.#near);
    reset(this.#far.socket, this.#far.plain);
  }

  #accept(near: Socket): void {
    near.on('error', () => this.breakOff());
    if (this.#near !== undefined || this.#isBroken) {
      reset(near, near);
    } else {
      this.#near = near;
      clearTimeout(this.#timer);
      this.#listener.close();
      this.#arrived.resolve(near);
    }
  }

  async #download(change: Change | null): Promise<void> {
    const near = await this.#arrived.promise;
    const { socket } = this.#far;
    // Nothing comes from there but its end, which before the far one means that nobody wants the rest.
    near.once('end', () => {
      if (!socket.readableEnded) this.breakOff();
    });
    near.resume();
    if (change === null) await pipeline(socket, near, { end: false });
    else await pipeline(socket, changed(change), near, { end: false });
    this.#timer = setTimeout(() => this.breakOff(), this.#limits.verdictMs);
    await this.#verdict.promise;
    clearTimeout(this.#timer);
    near.end();
  }

  async #upload(): Promise<void> {
    const near = await this.#arrived.promise;
    const { socket, ready } = this.#far;
    await ready;
    // Its end must be noticed.
    socket.resume();
    await pipeline(near, socket, { end: false });
    socket.end();
  }
}

function changed(change: Change) {
  return async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) yield change(chunk);
  };
}

/** As a loss; unless all has been sent and ended, when nothing can be cut short any more. */
function reset(socket: Socket, carrier: Socket): void {
  const isSent = socket.writableEnded && socket.writableLength === 0;
  if (!isSent && !carrier.destroyed) carrier.resetAndDestroy();
  socket.destroy();
}
