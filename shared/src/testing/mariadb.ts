import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { run } from './run.ts';
import { type ServerProcess, startServer, untilReady } from './server-process.ts';
import { unprivilegedUser } from './unprivileged-user.ts';

export interface MariadbServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly socket: string;
  readonly pid: number;
  /** May do everything, from this machine. */
  readonly admin: { readonly user: string; readonly password: string };
  /** Runs statements as the administrator; gives the rows as the client prints them with `--batch --raw`. */
  sql(statements: string, database?: string): Promise<string>;
  /** Immediate end and start again on the same port and data. */
  restart(): Promise<void>;
  /** Immediate end; removes the data. */
  stop(): Promise<void>;
}

export interface MariadbOptions {
  /** Further settings, such as `ssl-cert`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts a private MariaDB on loopback, without regard for power failures: for tests only. */
export async function startMariadb({ settings = {} }: MariadbOptions = {}): Promise<MariadbServer> {
  const user = unprivilegedUser();
  const dir = await mkdtemp(join(tmpdir(), 'xv-maria-'));
  // Logins of other users reach the socket.
  await chmod(dir, 0o711);
  if (user !== undefined) await chown(dir, user.uid, user.gid);
  const password = 'adm"in\\pass \'#word';
  const [port, socket, init] = [await freePort(), join(dir, 'socket'), join(dir, 'init.sql')];
  const account = `'admin'@'%' IDENTIFIED BY '${password.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
  await writeFile(init, `CREATE OR REPLACE USER ${account};\nGRANT ALL ON *.* TO 'admin'@'%' WITH GRANT OPTION;\n`, {
    mode: 0o600,
  });
  if (user !== undefined) await chown(init, user.uid, user.gid);
  await run(program('mariadb-install-db', 'mysql_install_db'), [
    '--no-defaults',
    `--datadir=${join(dir, 'data')}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    // Two of them in one folder take each other's temporary tables away.
    `--tmpdir=${dir}`,
    ...(user === undefined ? [] : [`--user=${user.uid === 65534 ? 'nobody' : 'postgres'}`]),
  ]);
  const launch = async () => {
    const all = {
      datadir: join(dir, 'data'),
      tmpdir: dir,
      socket,
      port: String(port),
      'bind-address': '127.0.0.1',
      'init-file': init,
      'pid-file': join(dir, 'pid'),
      'innodb-flush-log-at-trx-commit': '0',
      'innodb-buffer-pool-size': '256M',
      'log-bin-trust-function-creators': '1',
      'event-scheduler': 'OFF',
      'max-allowed-packet': '64M',
      ...settings,
    };
    const server: ServerProcess = await startServer({
      program: program('mariadbd', 'mysqld'),
      args: [
        '--no-defaults',
        '--skip-name-resolve',
        ...Object.entries(all).map(([name, value]) => `--${name}=${value}`),
      ],
      cwd: dir,
      deathSignal: 'KILL',
      ...user,
    });
    await untilReady('mariadb', server, async () => server.log().includes('ready for connections'));
    return server;
  };
  let server = await launch();
  const optionFile = join(dir, 'client.cnf');
  const quoted = `"${password.replace(/[\\"]/g, '\\$&')}"`;
  await writeFile(optionFile, `[client]\nuser=admin\npassword=${quoted}\nsocket=${socket}\n`, { mode: 0o600 });
  return {
    host: '127.0.0.1',
    port,
    socket,
    get pid() {
      return server.pid;
    },
    admin: { user: 'admin', password },
    sql: (statements, database) =>
      run(
        program('mariadb', 'mysql'),
        [
          `--defaults-file=${optionFile}`,
          '--batch',
          '--raw',
          '--skip-column-names',
          '--default-character-set=utf8mb4',
          ...(database === undefined ? [] : ['--', database]),
        ],
        statements,
      ),
    async restart() {
      await server.end('SIGKILL');
      server = await launch();
    },
    async stop() {
      await server.end('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function program(...names: string[]): string {
  const file = findProgram(names);
  if (file === undefined) throw new Error(`MariaDB is not installed: ${names[0]} was not found`);
  return file;
}
