import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accepts } from './accepts.ts';
import { makeCertificate } from './certificate.ts';
import { findProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { descendants, signalProcess } from './process-tree.ts';
import { startServer, untilReady } from './server-process.ts';
import { createSystemUser } from './system-user.ts';

export interface VsftpdOptions {
  readonly tls?: 'none' | 'explicit' | 'implicit';
  /** Whom its certificate is for, unless for itself. */
  readonly certificateNames?: readonly string[];
  /** Further lines of vsftpd.conf. */
  readonly extraConfig?: readonly string[];
}

export interface TestVsftpd {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly uid: number;
  readonly gid: number;
  /** What the user sees as `/`. */
  readonly dataDir: string;
  /** Its certificate, PEM; empty without TLS. */
  readonly certPem: string;
  /** Commands and replies so far. */
  log(): Promise<string>;
  /** Signals the processes of all open connections, not the listener. */
  signalSessions(signal: NodeJS.Signals): void;
  /** Ends all of its processes; what is on the disk stays until stop(). */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A private vsftpd in a temporary folder on a free port of 127.0.0.1, for one account made for it: a server with LIST alone,
 * whose data connections must go on with the TLS session of the control connection. Needs root.
 */
export async function startVsftpd(options: VsftpdOptions = {}): Promise<TestVsftpd> {
  const program = findProgram(['vsftpd']);
  if (program === undefined) throw new Error('vsftpd is not installed');
  if (process.getuid?.() !== 0) throw new Error('vsftpd lets accounts of the machine log in only when root starts it');
  const dir = await mkdtemp(join(tmpdir(), 'xvault-vsftpd-'));
  await chmod(dir, 0o755);
  const [dataDir, emptyDir, logFile] = [join(dir, 'data'), join(dir, 'empty'), join(dir, 'log')];
  await Promise.all([mkdir(dataDir), mkdir(emptyDir)]);
  const user = await createSystemUser(dataDir);
  await chown(dataDir, user.uid, user.gid);
  const port = await freePort();
  const tls = options.tls ?? 'none';
  const certificate =
    tls === 'none' ? undefined : await makeCertificate(dir, options.certificateNames ?? ['127.0.0.1']);
  const lines = [
    'listen=YES',
    'background=NO',
    'listen_address=127.0.0.1',
    `listen_port=${port}`,
    'anonymous_enable=NO',
    'local_enable=YES',
    'write_enable=YES',
    'local_umask=022',
    'chroot_local_user=YES',
    'allow_writeable_chroot=YES',
    `secure_chroot_dir=${emptyDir}`,
    // Kernel features that containers may lack.
    'seccomp_sandbox=NO',
    'isolate=NO',
    'isolate_network=NO',
    'xferlog_enable=YES',
    `vsftpd_log_file=${logFile}`,
    'log_ftp_protocol=YES',
    'utf8_filesystem=YES',
    ...(certificate === undefined
      ? []
      : [
          'ssl_enable=YES',
          'force_local_logins_ssl=YES',
          'force_local_data_ssl=YES',
          'require_ssl_reuse=YES',
          'ssl_ciphers=HIGH',
          `rsa_cert_file=${certificate.certFile}`,
          `rsa_private_key_file=${certificate.keyFile}`,
          `implicit_ssl=${tls === 'implicit' ? 'YES' : 'NO'}`,
        ]),
    ...(options.extraConfig ?? []),
  ];
  const configFile = join(dir, 'vsftpd.conf');
  await writeFile(configFile, `${lines.join('\n')}\n`);
  const server = await startServer({ program, args: [configFile], cwd: dir, deathSignal: 'KILL' });
  await untilReady('vsftpd', server, () => accepts(port));
  const signalSessions = (signal: NodeJS.Signals) => {
    for (const pid of descendants(server.pid)) signalProcess(pid, signal);
  };
  async function kill(): Promise<void> {
    signalSessions('SIGKILL');
    await server.end('SIGKILL');
  }
  return {
    host: '127.0.0.1',
    port,
    user: user.name,
    password: user.password,
    uid: user.uid,
    gid: user.gid,
    dataDir,
    certPem: certificate?.certPem ?? '',
    log: () => readFile(logFile, 'utf8'),
    signalSessions,
    kill,
    async stop() {
      await kill();
      await user.remove();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
