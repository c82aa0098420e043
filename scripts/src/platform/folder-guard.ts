import { createHash } from 'node:crypto';
import { realpath, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Makes sure that one process alone uses a data folder; resolves with the release. The kernel gives the name back when
 * the process dies, however it dies: an abstract socket on Linux, elsewhere a socket file that is checked for life.
 */
export async function guardFolder(dataDir: string): Promise<() => Promise<void>> {
  const digest = createHash('sha256')
    .update(await realpath(dataDir))
    .digest('hex')
    .slice(0, 32);
  const abstract = process.platform === 'linux';
  const name = abstract ? `\0xvault-${digest}` : join(tmpdir(), `xvault-${digest}.sock`);
  if (!abstract && !(await answers(name))) await rm(name, { force: true });
  const server = await listen(name).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    throw new Error(`another xVault is running on this data folder: ${dataDir}`);
  });
  return () => new Promise((resolve) => server.close(() => resolve()));
}

function listen(name: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(name, () => resolve(server.unref()));
  });
}

function answers(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(name, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
