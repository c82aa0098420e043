import { execFile } from 'node:child_process';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { newId } from '../ids.ts';
import { findProgram, postgresFolders } from './find-program.ts';
import { freePort } from './free-port.ts';
import { type ServerProcess, startServer, untilReady } from './server-process.ts';
import { unprivilegedUser } from './unprivileged-user.ts';

const run = promisify(execFile);

export interface PostgresServer {
  /** `postgres://…/postgres`: the maintenance database. */
  readonly url: string;
  readonly pid: number;
  /** Makes an empty database of its own and gives its URL. */
  createDatabase(): Promise<string>;
  /** Immediate end; removes the data. */
  stop(): Promise<void>;
  /** Immediate end and start again on the same port and data. */
  restart(): Promise<void>;
}

export interface PostgresOptions {
  /** What was committed outlives an immediate end of the server (not of the machine). */
  readonly keepsCommits?: boolean;
}

/** Starts a private PostgreSQL cluster on loopback, without fsync: for tests only. */
export async function startPostgres({ keepsCommits = false }: PostgresOptions = {}): Promise<PostgresServer> {
  const user = unprivilegedUser();
  const dir = await mkdtemp(join(tmpdir(), 'xvault-postgres-'));
  if (user !== undefined) await chown(dir, user.uid, user.gid);
  const options = { cwd: dir, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }, ...user };
  await run(program('initdb'), ['-D', join(dir, 'data'), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '-N'], options);
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const start = () => launch(dir, port, user, keepsCommits);
  let server = await start();
  return {
    url,
    get pid() {
      return server.pid;
    },
    createDatabase: () => createDatabase(url),
    async stop() {
      await server.end('SIGQUIT');
      await rm(dir, { recursive: true, force: true });
    },
    async restart() {
      await server.end('SIGQUIT');
      server = await start();
    },
  };
}

async function launch(
  dir: string,
  port: number,
  user: { uid: number; gid: number } | undefined,
  keepsCommits: boolean,
): Promise<ServerProcess> {
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    synchronous_commit: keepsCommits ? 'on' : 'off',
    full_page_writes: 'off',
    max_connections: 200,
    shared_buffers: '64MB',
  };
  const server: ServerProcess = await startServer({
    program: program('postgres'),
    args: ['-D', join(dir, 'data'), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    cwd: dir,
    deathSignal: 'QUIT',
    ...user,
  });
  await untilReady('postgres', server, async () => server.log().includes('ready to accept connections'));
  return server;
}

/** Makes an empty database beside the one in `url`, which needs the right to do so; gives the new one's URL. */
export async function createDatabase(url: string): Promise<string> {
  const name = `xvault_${newId().replaceAll('-', '')}`;
  const { hostname, port, username } = new URL(url);
  const args = ['-h', hostname, '-p', port, '-U', username, '-w', '-T', 'template0', name];
  await run(program('createdb'), args, { env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } });
  const target = new URL(url);
  target.pathname = `/${name}`;
  return target.href;
}

function program(name: string): string {
  const file = findProgram([name], postgresFolders());
  if (file === undefined) throw new Error(`PostgreSQL is not installed: ${name} was not found`);
  return file;
}
