import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomToken } from '../tokens.ts';
import { findProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { redisAnswers, redisCommand } from './redis-command.ts';
import { type ServerProcess, startServer, untilReady } from './server-process.ts';

export interface RedisOptions {
  readonly password?: string;
  /** Data folder, kept by stop(); without it a temporary one that stop() removes. */
  readonly dir?: string;
  readonly appendonly?: boolean;
  /** Port of 127.0.0.1; without it a free one. */
  readonly port?: number;
}

export interface RedisServer {
  /** `redis://:password@127.0.0.1:port`, without a database number. */
  readonly url: string;
  readonly port: number;
  readonly password: string;
  readonly pid: number;
  /** Orderly end; removes the temporary folder. */
  stop(): Promise<void>;
  /** SIGKILL; restart() may follow. */
  kill(): Promise<void>;
  /** Ends it if it runs and starts it again on the same port and folder; without `appendonly` it comes back empty. */
  restart(): Promise<void>;
}

/** The configuration, meant for standard input, so that the password is in no argument list. */
export function redisConfig(port: number, password: string, dir: string, appendonly: boolean): string {
  const lines = [
    'bind 127.0.0.1',
    `port ${port}`,
    `requirepass ${password}`,
    `dir ${JSON.stringify(dir)}`,
    `appendonly ${appendonly ? 'yes' : 'no'}`,
    'save ""',
    'maxmemory-policy noeviction',
    'databases 1024',
    'daemonize no',
  ];
  return `${lines.join('\n')}\n`;
}

/** Starts a private Redis (or Valkey) on loopback. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const program = findProgram(['redis-server', 'valkey-server']);
  if (program === undefined) throw new Error('redis-server (or valkey-server) is not installed');
  const password = options.password ?? randomToken();
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'xvault-redis-')));
  const port = options.port ?? (await freePort());
  const start = () => launch(program, port, password, dir, options.appendonly ?? false);
  let server = await start();
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    port,
    password,
    get pid() {
      return server.pid;
    },
    async stop() {
      await server.end('SIGTERM');
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
    kill: () => server.end('SIGKILL'),
    async restart() {
      await server.end('SIGTERM');
      server = await start();
    },
  };
}

async function launch(program: string, port: number, password: string, dir: string, aof: boolean) {
  const server: ServerProcess = await startServer({
    program,
    args: ['-'],
    stdin: redisConfig(port, password, dir, aof),
    cwd: dir,
    deathSignal: 'KILL',
  });
  await untilReady('redis-server', server, () => redisAnswers(port, password));
  return server;
}

/** A database number of the server at `url` that no other caller was given; the URL with it. Database 0 keeps the count. */
export async function ownRedisDatabase(url: string): Promise<string> {
  const { port, password } = new URL(url);
  const reply = await redisCommand(Number(port), decodeURIComponent(password), ['INCR', 'testing:last-database']);
  if (!reply.startsWith(':')) throw new Error(`Redis gave no database number: ${reply}`);
  return `${url}/${reply.slice(1)}`;
}
