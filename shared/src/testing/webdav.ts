import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomToken } from '../tokens.ts';
import { accepts } from './accepts.ts';
import { findProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { startServer, untilReady } from './server-process.ts';

export interface TestWebdav {
  readonly url: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly dataDir: string;
  stop(): Promise<void>;
}

/** A private WebDAV server, `rclone serve webdav`, on a folder of its own and a free port of 127.0.0.1. */
export async function startWebdav(): Promise<TestWebdav> {
  const program = findProgram(['rclone']);
  if (program === undefined) throw new Error('rclone is not installed');
  const dir = await mkdtemp(join(tmpdir(), 'xvault-webdav-'));
  const dataDir = join(dir, 'data');
  await mkdir(dataDir);
  const port = await freePort();
  const [user, password] = ['dav', randomToken()];
  const server = await startServer({
    program,
    args: ['serve', 'webdav', dataDir, '--addr', `127.0.0.1:${port}`, '--config', '/dev/null', '--dir-cache-time', '0'],
    env: { RCLONE_USER: user, RCLONE_PASS: password, HOME: dir },
    cwd: dir,
    deathSignal: 'KILL',
  });
  await untilReady('rclone serve webdav', server, () => accepts(port));
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    user,
    password,
    dataDir,
    async stop() {
      await server.end('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}
