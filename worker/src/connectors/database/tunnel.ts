import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, pipeline } from 'node:stream';

/** A door on this machine through which a tool reaches a server that only we can reach. */
export interface Tunnel {
  /** Of 127.0.0.1; 0 for a tunnel of a socket file. */
  readonly port: number;
  /** Path of the socket file, in a folder that only this user can enter; empty for a tunnel of a port. */
  readonly socketPath: string;
  /** Why the last connection could not be made. */
  failure(): unknown;
  close(): Promise<void>;
}

/** `connect` makes the far end of each connection, with what the near end has to go through already done. */
export async function openTunnel(kind: 'port' | 'socket', connect: (near: Socket) => Promise<Duplex>): Promise<Tunnel> {
  const folder = kind === 'socket' ? await mkdtemp(join(tmpdir(), 'xv-')) : undefined;
  const socketPath = folder === undefined ? '' : join(folder, randomUUID().slice(0, 8));
  const open = new Set<Duplex>();
  let failure: unknown;
  const server = createServer({ noDelay: true }, (near) => {
    open.add(near);
    near.on('error', () => undefined);
    near.once('close', () => open.delete(near));
    connect(near).then(
      (far) => {
        open.add(far);
        far.once('close', () => open.delete(far));
        joinBoth(near, far);
      },
      (error: unknown) => {
        failure = error;
        near.destroy();
      },
    );
  });
  await listen(server, socketPath);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    socketPath,
    failure: () => failure,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const stream of open) stream.destroy();
      await closed;
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const done = () => {
      server.removeListener('error', reject);
      resolve();
    };
    if (socketPath === '') server.listen(0, '127.0.0.1', done);
    else server.listen(socketPath, done);
  });
}

/** Both ways; what goes wrong ends both sides, and the programs at the ends tell what that means. */
function joinBoth(near: Duplex, far: Duplex): void {
  pipeline(near, far, near, () => {
    near.destroy();
    far.destroy();
  });
}
