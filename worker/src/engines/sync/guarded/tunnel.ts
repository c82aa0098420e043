import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** A loopback port that leads to one server. */
export interface Tunnel {
  readonly host: '127.0.0.1';
  readonly port: number;
  close(): Promise<void>;
}

export async function openTunnel(dial: (stop: AbortSignal) => Promise<Duplex>): Promise<Tunnel> {
  const stop = new AbortController();
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    open.add(near);
    near.once('close', () => open.delete(near));
    join(near, () => dial(stop.signal)).catch(() => near.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has no port');
  return {
    host: '127.0.0.1',
    port: address.port,
    async close() {
      stop.abort();
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function join(near: Socket, dial: () => Promise<Duplex>): Promise<void> {
  near.pause();
  near.on('error', () => near.destroy());
  const far = await dial();
  await Promise.allSettled([pipeline(near, far), pipeline(far, near)]);
}
