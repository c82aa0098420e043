import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { descendants, signalProcess } from './process-tree.ts';
import { run } from './run.ts';
import { createSystemUser, type SystemUser } from './system-user.ts';
import { until } from './until.ts';

const program = '/usr/sbin/sshd';

export interface SshdOptions {
  /** Ways to log in; `keyboard-interactive` goes through PAM. */
  readonly login?: 'password' | 'keyboard-interactive';
  /** Further lines of sshd_config. */
  readonly extraConfig?: readonly string[];
}

export interface TestSshd {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: SystemUser;
  /** An ed25519 private key that may log in. */
  readonly privateKey: string;
  /** A directory of the user's own, for sources. */
  readonly dataDir: string;
  /** `SHA256:…` of the key that clients are shown. */
  fingerprint(): string;
  /** What the server has written to its log. */
  log(): string;
  /** Lets another key in: a line of authorized_keys. */
  authorize(publicKey: string): Promise<void>;
  /** Signals the processes of all open connections, not the listener. */
  signalSessions(signal: NodeJS.Signals): void;
  /** Signals only those processes of connections that have none below them. */
  signalLeaves(signal: NodeJS.Signals): void;
  /** Number of processes that serve connections. */
  sessionCount(): number;
  /** Comes back on the same port with a new host key. */
  restartWithNewHostKey(): Promise<void>;
  stop(): Promise<void>;
}

/** A private OpenSSH server in a temporary directory, on a free port of 127.0.0.1. */
export async function startSshd(options: SshdOptions = {}): Promise<TestSshd> {
  const dir = await mkdtemp(join(tmpdir(), 'xvault-sshd-'));
  await chmod(dir, 0o755);
  // The directory that sshd changes to before a login must exist, and only root can make it.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const dataDir = join(dir, 'data');
  await mkdir(dataDir);
  const user = await createSystemUser(dataDir);
  await chown(dataDir, user.uid, user.gid);
  const port = await freePort();
  const authorizedKeys = join(dir, 'authorized_keys');
  const clientKey = await makeKey(join(dir, 'client'), 'ed25519');
  await writeFile(authorizedKeys, clientKey.publicLine, { mode: 0o644 });
  await writeFile(join(dir, 'sshd_config'), configLines(dir, port, authorizedKeys, options).join('\n'));

  let log = '';
  let fingerprint = await makeHostKeys(dir);
  let daemon = await launch();

  async function launch(): Promise<ChildProcess> {
    const child = spawn(program, ['-D', '-e', '-f', join(dir, 'sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    await until(`sshd on port ${port}`, () => {
      if (child.exitCode !== null) throw new Error(`sshd exited with ${child.exitCode}: ${log}`);
      return accepts(port);
    });
    return child;
  }

  function signalSessions(signal: NodeJS.Signals): void {
    for (const pid of descendants(daemon.pid ?? -1)) signalProcess(pid, signal);
  }

  async function halt(): Promise<void> {
    signalSessions('SIGKILL');
    if (daemon.exitCode !== null || daemon.signalCode !== null) return;
    const exited = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await exited;
  }

  return {
    host: '127.0.0.1',
    port,
    user,
    privateKey: clientKey.privateText,
    dataDir,
    fingerprint: () => fingerprint,
    log: () => log,
    authorize: (publicKey) => writeFile(authorizedKeys, `${publicKey.trim()}\n`, { flag: 'a' }),
    signalSessions,
    signalLeaves(signal) {
      const leaves = descendants(daemon.pid ?? -1).filter((pid) => descendants(pid).length === 0);
      for (const pid of leaves) signalProcess(pid, signal);
    },
    sessionCount: () => descendants(daemon.pid ?? -1).length,
    async restartWithNewHostKey() {
      await halt();
      fingerprint = await makeHostKeys(dir);
      daemon = await launch();
    },
    async stop() {
      await halt();
      await user.remove();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function configLines(dir: string, port: number, authorizedKeys: string, options: SshdOptions): string[] {
  const viaPam = options.login === 'keyboard-interactive';
  return [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(dir, 'host_ed25519')}`,
    `HostKey ${join(dir, 'host_rsa')}`,
    'PidFile none',
    `AuthorizedKeysFile ${authorizedKeys}`,
    'StrictModes no',
    'PermitRootLogin yes',
    `UsePAM ${viaPam ? 'yes' : 'no'}`,
    `PasswordAuthentication ${viaPam ? 'no' : 'yes'}`,
    `KbdInteractiveAuthentication ${viaPam ? 'yes' : 'no'}`,
    'LogLevel VERBOSE',
    'MaxStartups 100',
    'UseDNS no',
    'Subsystem sftp internal-sftp',
    ...(options.extraConfig ?? []),
    '',
  ];
}

async function makeHostKeys(dir: string): Promise<string> {
  const [ed25519] = await Promise.all([
    makeKey(join(dir, 'host_ed25519'), 'ed25519'),
    makeKey(join(dir, 'host_rsa'), 'rsa'),
  ]);
  return ed25519.fingerprint;
}

/** Makes a key pair with `ssh-keygen`, in OpenSSH's own form. */
export async function makeKey(
  file: string,
  type: 'ed25519' | 'rsa' | 'ecdsa',
  passphrase = '',
): Promise<{ privateText: string; publicLine: string; fingerprint: string }> {
  await Promise.all([rm(file, { force: true }), rm(`${file}.pub`, { force: true })]);
  await run('ssh-keygen', ['-q', '-t', type, ...(type === 'rsa' ? ['-b', '2048'] : []), '-N', passphrase, '-f', file]);
  const [privateText, publicLine, shown] = await Promise.all([
    run('cat', [file]),
    run('cat', [`${file}.pub`]),
    run('ssh-keygen', ['-l', '-E', 'sha256', '-f', `${file}.pub`]),
  ]);
  return { privateText, publicLine, fingerprint: shown.split(' ')[1] ?? '' };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
