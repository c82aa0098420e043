import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

const socketName = 'alive';
/** The kernel takes no longer path for a socket; Node would cut it off. */
const longestPath = 100;

/** `unknown`: it says nothing of its owner, or not to us. */
export type Liveness = 'alive' | 'dead' | 'unknown';

/**
 * Shows that this process lives, in a directory of its own, by a socket that is listened on: the kernel ends that with the
 * process however it dies, and tells all who can see the directory, also from other containers, where process ids say nothing.
 * Resolves with its end.
 */
export async function showLife(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, socketName);
  if (Buffer.byteLength(path) > longestPath) return async () => undefined;
  const server = await listen(path);
  return () => new Promise((resolve) => server.close(() => resolve()));
}

/** Whether the process lives that showed its life in the directory. A stopped one does: the kernel answers for it. */
export function lifeIn(directory: string): Promise<Liveness> {
  return new Promise((resolve) => {
    const socket = connect(join(directory, socketName), () => {
      socket.destroy();
      resolve('alive');
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED' ? 'dead' : 'unknown'));
  });
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(path, () => resolve(server.unref()));
  });
}
