import { type ChildProcess, spawn } from 'node:child_process';
import { findProgram } from './find-program.ts';

export interface ServerCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to the standard input, which is then closed. */
  readonly stdin?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** What the kernel sends the server when this process dies, however it dies (Linux only). */
  readonly deathSignal: 'KILL' | 'QUIT' | 'TERM';
}

export interface ServerProcess {
  readonly pid: number;
  readonly exited: Promise<void>;
  running(): boolean;
  /** The last lines that the server wrote. */
  log(): string;
  /** Sends the signal and waits for the end; SIGKILL follows after `graceMs`. */
  end(signal: NodeJS.Signals, graceMs?: number): Promise<void>;
}

/** Starts a server that dies with this process. Rejects when the program cannot be started at all. */
export async function startServer(command: ServerCommand): Promise<ServerProcess> {
  const { file, args } = tiedToParent(command);
  const child = spawn(file, args, {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', ...command.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    ...(command.uid === undefined ? {} : { uid: command.uid }),
    ...(command.gid === undefined ? {} : { gid: command.gid }),
  });
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const log = keepTail(child);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.on('error', () => undefined);
  // A server that ended at once has closed its input; its exit tells the story.
  child.stdin.on('error', () => undefined);
  child.stdin.end(command.stdin ?? '');
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${command.program} has no process id`);
  const running = () => child.exitCode === null && child.signalCode === null;
  return {
    pid,
    exited,
    running,
    log,
    async end(signal, graceMs = 10_000) {
      if (running()) child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

function tiedToParent(command: ServerCommand): { file: string; args: string[] } {
  const setpriv = process.platform === 'linux' ? findProgram(['setpriv']) : undefined;
  if (setpriv === undefined) return { file: command.program, args: [...command.args] };
  return { file: setpriv, args: ['--pdeathsig', command.deathSignal, '--', command.program, ...command.args] };
}

function keepTail(child: ChildProcess): () => string {
  let tail = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-16_384);
    });
  }
  return () => tail;
}

/** Polls until `ready` is true; throws with the server's log when it ends first or `timeoutMs` passes. */
export async function untilReady(
  name: string,
  server: ServerProcess,
  ready: () => Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ready())) {
    if (!server.running()) throw new Error(`${name} ended while starting:\n${server.log()}`);
    if (performance.now() > deadline) {
      await server.end('SIGKILL');
      throw new Error(`${name} did not become ready:\n${server.log()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
