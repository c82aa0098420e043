import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { findProgram } from '@xvault/shared/testing/find-program.ts';

export interface ChildCommand {
  /** Shown to the user: `Hub`, `worker`, `Redis`. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Without it that of this process. */
  readonly cwd?: string;
  /** Written to the standard input, which is then closed. */
  readonly stdin?: string;
}

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface PlatformChild {
  readonly name: string;
  readonly pid: number;
  readonly ended: Promise<ChildEnd>;
  running(): boolean;
  /** True from the moment on that somebody here asked it to end. */
  readonly expected: boolean;
  /** Asks for the end, waits for it; SIGKILL follows after `graceMs`. */
  end(signal: NodeJS.Signals, graceMs: number): Promise<ChildEnd>;
  /** The last lines of its log. */
  tail(): Promise<string>;
}

/**
 * Starts a child in a session of its own, so that a terminal's Ctrl-C reaches us alone and we stop things in order. On
 * Linux the kernel ends it when we are killed.
 */
export async function startChild(command: ChildCommand): Promise<PlatformChild> {
  const log = await open(command.logFile, 'a', 0o600);
  const setpriv = process.platform === 'linux' ? findProgram(['setpriv']) : undefined;
  const tied = setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--'];
  const [file = command.program, ...args] = [...tied, command.program, ...command.args];
  const child = spawn(file, args, {
    env: command.env,
    detached: true,
    stdio: ['pipe', log.fd, log.fd],
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
  });
  let expected = false;
  const ended = new Promise<ChildEnd>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: 127, signal: null }));
  });
  child.stdin?.on('error', () => undefined).end(command.stdin ?? '');
  await log.close();
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${command.name} could not be started: ${command.program}`);
  return {
    name: command.name,
    pid,
    ended,
    running: () => child.exitCode === null && child.signalCode === null,
    get expected() {
      return expected;
    },
    async end(signal, graceMs) {
      expected = true;
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      const end = await ended;
      clearTimeout(timer);
      return end;
    },
    tail: async () => (await readFile(command.logFile, 'utf8')).trimEnd().split('\n').slice(-20).join('\n'),
  };
}

/** One line about how a child ended. */
export function describeEnd(name: string, end: ChildEnd): string {
  return `${name} ended with ${end.signal === null ? `exit code ${end.code}` : end.signal}`;
}
