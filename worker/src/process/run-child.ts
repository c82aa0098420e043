import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { TailBuffer } from './tail-buffer.ts';

export interface ChildOptions {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** All the child gets beside PATH and LC_ALL; nothing is inherited. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether {@link RunningChild} has the stream; else it is /dev/null. */
  readonly stdin?: 'pipe' | 'ignore';
  /** A number is an open descriptor, which stays the caller's to close. */
  readonly stdout?: 'pipe' | 'ignore' | number;
  /** Open descriptors that the child sees as 3, 4, …. */
  readonly fds?: readonly number[];
  /** Ends the child's whole process group. */
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** From SIGTERM to SIGKILL. */
  readonly graceMs?: number;
  /** How much of the end of stderr is kept. */
  readonly stderrTailBytes?: number;
}

/** Why a child ended: the first cause wins, whatever the exit looks like. Only `exited` with code 0 is success. */
export type ChildEnd =
  | { readonly cause: 'exited'; readonly exitCode: number }
  | { readonly cause: 'signaled'; readonly signal: NodeJS.Signals | null }
  | { readonly cause: 'aborted' }
  | { readonly cause: 'timed_out' }
  | { readonly cause: 'not_started'; readonly error: Error };

export interface ChildOutcome {
  readonly end: ChildEnd;
  readonly succeeded: boolean;
  /** The last of what it wrote to stderr. */
  readonly stderr: string;
}

export interface RunningChild {
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  /** Never rejects. Settles when the process is gone and its stderr is read. */
  readonly outcome: Promise<ChildOutcome>;
  /** Ends it as the signal would. */
  readonly kill: () => void;
}

const fixedEnv = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin',
  LC_ALL: 'C',
};
/** A grandchild that left the group may hold stderr open; it is not waited for longer than this. */
const stderrGraceMs = 1000;

/** Starts a program in a process group of its own. */
export function startChild(options: ChildOptions): RunningChild {
  if (options.signal?.aborted) return notStarted({ cause: 'aborted' });
  let child: ChildProcess;
  try {
    child = spawn(options.file, options.args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...fixedEnv, ...options.env },
      stdio: [options.stdin ?? 'ignore', options.stdout ?? 'ignore', 'pipe', ...(options.fds ?? [])],
      detached: true,
    });
  } catch (error) {
    return notStarted({ cause: 'not_started', error: error instanceof Error ? error : new Error(String(error)) });
  }
  // A child that stops reading is judged by how it ends; without a listener EPIPE would end this process.
  child.stdin?.on('error', () => child.stdin?.destroy());
  return supervise(child, options);
}

/** Runs a program without streams to its end. */
export async function runChild(options: Omit<ChildOptions, 'stdin' | 'stdout'>): Promise<ChildOutcome> {
  return await startChild({ ...options, stdin: 'ignore', stdout: 'ignore' }).outcome;
}

/** For operators: how it ended, and its last words. */
export function describeOutcome(file: string, { end, stderr }: ChildOutcome): string {
  const words = stderr.trim() === '' ? '' : `: ${stderr.trim()}`;
  if (end.cause === 'exited') return `${file} ended with exit code ${end.exitCode}${words}`;
  if (end.cause === 'signaled') return `${file} was killed by ${end.signal ?? 'an unknown signal'}${words}`;
  if (end.cause === 'not_started') return `${file} could not be started: ${end.error.message}`;
  return `${file} was stopped (${end.cause})${words}`;
}

function supervise(child: ChildProcess, options: ChildOptions): RunningChild {
  const tail = new TailBuffer(options.stderrTailBytes ?? 8192);
  child.stderr?.on('data', (data: Buffer) => tail.push(data));
  let first: ChildEnd | undefined;
  let killTimer: NodeJS.Timeout | undefined;
  const stop = (cause: ChildEnd): void => {
    if (first !== undefined) return;
    first = cause;
    signalGroup(child, 'SIGTERM');
    killTimer = setTimeout(() => signalGroup(child, 'SIGKILL'), options.graceMs ?? 5000);
  };
  const abort = (): void => stop({ cause: 'aborted' });
  options.signal?.addEventListener('abort', abort, { once: true });
  const timer =
    options.timeoutMs === undefined ? undefined : setTimeout(() => stop({ cause: 'timed_out' }), options.timeoutMs);

  const outcome = new Promise<ChildOutcome>((resolve) => {
    let stderrTimer: NodeJS.Timeout | undefined;
    const settle = (): void => {
      for (const each of [timer, killTimer, stderrTimer]) clearTimeout(each);
      options.signal?.removeEventListener('abort', abort);
      child.stderr?.destroy();
      const end = first ?? { cause: 'signaled', signal: null };
      resolve({ end, succeeded: end.cause === 'exited' && end.exitCode === 0, stderr: tail.toString() });
    };
    const finish = (end: ChildEnd): void => {
      first ??= end;
      // What the leader left behind in its group goes with it.
      signalGroup(child, 'SIGKILL');
      if (child.stderr === null || child.stderr.readableEnded || child.stderr.destroyed) settle();
      else {
        child.stderr.once('close', settle);
        stderrTimer = setTimeout(settle, stderrGraceMs);
      }
    };
    child.once('error', (error) => {
      if (child.pid === undefined) finish({ cause: 'not_started', error });
    });
    child.once('exit', (exitCode, signal) => {
      finish(exitCode === null ? { cause: 'signaled', signal } : { cause: 'exited', exitCode });
    });
  });
  return { stdin: child.stdin, stdout: child.stdout, outcome, kill: abort };
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    // ESRCH: the group is gone already. EPERM: only zombies are left of it (macOS).
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

function notStarted(end: ChildEnd): RunningChild {
  const outcome = Promise.resolve({ end, succeeded: false, stderr: '' });
  return { stdin: null, stdout: null, outcome, kill: () => undefined };
}
