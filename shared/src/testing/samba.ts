import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accepts } from './accepts.ts';
import { findProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { descendants, signalProcess } from './process-tree.ts';
import { run } from './run.ts';
import { startServer, untilReady } from './server-process.ts';
import { createSystemUser } from './system-user.ts';

export interface TestSamba {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly uid: number;
  readonly gid: number;
  readonly share: string;
  /** What the share holds. */
  readonly dataDir: string;
  log(): string;
  stop(): Promise<void>;
}

/** A private smbd in a temporary folder on a free port of 127.0.0.1, for one account made for it. Needs root. */
export async function startSamba(): Promise<TestSamba> {
  const program = findProgram(['smbd']);
  const passwords = findProgram(['smbpasswd']);
  if (program === undefined || passwords === undefined) throw new Error('samba is not installed');
  if (process.getuid?.() !== 0) throw new Error('smbd lets accounts of the machine log in only when root starts it');
  const dir = await mkdtemp(join(tmpdir(), 'xvault-samba-'));
  await chmod(dir, 0o755);
  const folder = (name: string) => join(dir, name);
  for (const name of ['data', 'state', 'cache', 'lock', 'pid', 'private', 'ncalrpc']) await mkdir(folder(name));
  const user = await createSystemUser(folder('data'));
  await chown(folder('data'), user.uid, user.gid);
  const port = await freePort();
  const config = folder('smb.conf');
  const lines = [
    '[global]',
    'server role = standalone server',
    'workgroup = WORKGROUP',
    'map to guest = never',
    'disable netbios = yes',
    'interfaces = 127.0.0.1',
    'bind interfaces only = yes',
    `smb ports = ${port}`,
    `passdb backend = tdbsam:${folder('private/passwords.tdb')}`,
    `private dir = ${folder('private')}`,
    `state directory = ${folder('state')}`,
    `cache directory = ${folder('cache')}`,
    `lock directory = ${folder('lock')}`,
    `pid directory = ${folder('pid')}`,
    `ncalrpc dir = ${folder('ncalrpc')}`,
    'load printers = no',
    'disable spoolss = yes',
    'log level = 1',
    '[data]',
    `path = ${folder('data')}`,
    'read only = no',
    '',
  ];
  await writeFile(config, lines.join('\n'));
  const stopUser = async () => {
    await user.remove();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await run(passwords, ['-c', config, '-a', '-s', user.name], `${user.password}\n${user.password}\n`);
    // It ends when its standard input is a pipe that ends, and then signals its whole process group.
    const args = ['-c', 'exec "$@" </dev/null', 'sh', program, '--foreground', '--debug-stdout'];
    const server = await startServer({
      program: '/bin/sh',
      args: [...args, `--configfile=${config}`],
      cwd: dir,
      deathSignal: 'KILL',
    });
    await untilReady('smbd', server, () => accepts(port));
    return {
      host: '127.0.0.1',
      port,
      user: user.name,
      password: user.password,
      uid: user.uid,
      gid: user.gid,
      share: 'data',
      dataDir: folder('data'),
      log: server.log,
      async stop() {
        for (const pid of descendants(server.pid)) signalProcess(pid, 'SIGKILL');
        await server.end('SIGKILL');
        await stopUser();
      },
    };
  } catch (error) {
    await stopUser();
    throw error;
  }
}
