import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomToken } from '../tokens.ts';
import { accepts } from './accepts.ts';
import { freePort } from './free-port.ts';
import { startServer, untilReady } from './server-process.ts';

export interface PyftpdOptions {
  /** Commands that it does not know, such as MLSD. */
  readonly without?: readonly string[];
}

export interface TestPyftpd {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** What the user sees as `/`. */
  readonly dataDir: string;
  /** Commands and replies so far. */
  log(): string;
  stop(): Promise<void>;
}

const script = `
import json, logging, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
options = json.load(sys.stdin)
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
class Handler(FTPHandler):
    authorizer = DummyAuthorizer()
    proto_cmds = {name: value for name, value in FTPHandler.proto_cmds.items() if name not in options['without']}
Handler.authorizer.add_user(options['user'], options['password'], options['folder'], perm='elradfmwMT')
FTPServer(('127.0.0.1', options['port']), Handler).serve_forever()
`;

/** A private pyftpdlib, an FTP server with MLSD, MFMT and SITE CHMOD, on a free port of 127.0.0.1. */
export async function startPyftpd(options: PyftpdOptions = {}): Promise<TestPyftpd> {
  const dir = await mkdtemp(join(tmpdir(), 'xvault-pyftpd-'));
  const dataDir = join(dir, 'data');
  await mkdir(dataDir);
  const [port, password, user] = [await freePort(), randomToken(), 'customer'];
  const settings = { port, user, password, folder: dataDir, without: options.without ?? [] };
  const server = await startServer({
    // The system's own, for which the module is installed.
    program: '/usr/bin/python3',
    args: ['-u', '-c', script],
    stdin: JSON.stringify(settings),
    cwd: dir,
    env: { LC_ALL: 'C.UTF-8' },
    deathSignal: 'KILL',
  });
  await untilReady('pyftpdlib', server, () => accepts(port));
  return {
    host: '127.0.0.1',
    port,
    user,
    password,
    dataDir,
    log: () => server.log(),
    async stop() {
      await server.end('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}
