import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export interface TcpProxy {
  readonly port: number;
  /** Bytes that went from the server to clients. */
  bytesToClients(): number;
  /** Each byte arrives so much later, in both directions. */
  setLatencyMs(latencyMs: number): void;
  /** Connections stay open and nothing passes any more, until {@link resume}. */
  stall(): void;
  resume(): void;
  /** Ends all connections at once, as a reset. */
  cut(): void;
  close(): Promise<void>;
}

/** A network between a client and a server on 127.0.0.1 that can be made slow, silent or broken. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let latencyMs = 0;
  let bytesToClients = 0;
  let gate: PromiseWithResolvers<void> | undefined;

  class Line extends Transform {
    #last: Promise<void> = Promise.resolve();

    override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
      const arrives = sleep(latencyMs);
      // In order, and later chunks do not wait for the earlier one's latency to begin their own.
      this.#last = Promise.all([this.#last, arrives]).then(async () => {
        await gate?.promise;
        this.push(chunk);
      });
      if (latencyMs > 0 && !gate) done();
      else void this.#last.then(() => done());
    }

    override _flush(done: TransformCallback): void {
      void this.#last.then(() => done());
    }
  }

  const server = createServer((client) => {
    const upstream = dial(targetPort, '127.0.0.1').setNoDelay(true);
    client.setNoDelay(true);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    upstream.on('data', (chunk: Buffer) => {
      bytesToClients += chunk.length;
    });
    const endBoth = () => {
      client.destroy();
      upstream.destroy();
    };
    pipeline(client, new Line(), upstream).then(undefined, endBoth);
    pipeline(upstream, new Line(), client).then(undefined, endBoth);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    bytesToClients: () => bytesToClients,
    setLatencyMs(value) {
      latencyMs = value;
    },
    stall() {
      gate ??= Promise.withResolvers<void>();
    },
    resume() {
      gate?.resolve();
      gate = undefined;
    },
    cut,
    async close() {
      gate?.resolve();
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
