import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { signalProcess } from '@xvault/shared/testing/process-tree.ts';
import { type ChildCommand, type ChildEnd, describeEnd, type PlatformChild, startChild } from '../platform/child.ts';

export interface PartOptions {
  readonly command: ChildCommand;
  /** What its log says once it is ready. */
  readonly readyText: string;
  /** How long it stays away when it has ended. */
  readonly restartDelayMs: () => number;
}

/** A process of the cluster that is started again whenever it ends, until it is stopped. */
export interface Part {
  readonly name: string;
  /** Undefined while it is down. */
  readonly pid: number | undefined;
  /** How it ended though nobody here had signalled it, once it had been ready; each is a fault of the product. */
  readonly crashes: readonly string[];
  /** Environment that its next starts get beside its own. */
  overrides: Readonly<Record<string, string>>;
  /** False when it is down. */
  signal(name: NodeJS.Signals): boolean;
  /** Resolves when the process of that moment, or one after it, is ready. */
  ready(timeoutMs: number): Promise<void>;
  stop(graceMs: number): Promise<void>;
}

export function startPart({ command, readyText, restartDelayMs }: PartOptions): Part {
  const { name, logFile } = command;
  const crashes: string[] = [];
  const stopping = new AbortController();
  let child: PlatformChild | undefined;
  let logStart = 0;
  let struck = false;
  let overrides: Readonly<Record<string, string>> = {};

  const isReady = async () => child?.running() === true && (await logSince(logFile, logStart)).includes(readyText);

  async function runOnce(): Promise<void> {
    struck = false;
    logStart = await sizeOf(logFile);
    child = await startChild({ ...command, env: { ...command.env, ...overrides } });
    const end: ChildEnd = await child.ended;
    child = undefined;
    if (struck || stopping.signal.aborted) return;
    const log = await logSince(logFile, logStart);
    // One that ends while it starts has told why, and is tried again.
    if (log.includes(readyText)) crashes.push(`${describeEnd(name, end)}:\n${lastLines(log)}`);
  }

  async function keepRunning(): Promise<void> {
    while (!stopping.signal.aborted) {
      await runOnce();
      await sleep(restartDelayMs(), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }
  const ended = keepRunning();

  return {
    name,
    crashes,
    get pid() {
      return child?.pid;
    },
    get overrides() {
      return overrides;
    },
    set overrides(value) {
      overrides = value;
    },
    signal(signal) {
      if (child === undefined) return false;
      if (signal === 'SIGKILL' || signal === 'SIGTERM') struck = true;
      return signalProcess(child.pid, signal);
    },
    async ready(timeoutMs) {
      const deadline = performance.now() + timeoutMs;
      while (!(await isReady())) {
        if (performance.now() > deadline) {
          throw new Error(`${name} did not become ready:\n${lastLines(await logSince(logFile, 0))}`);
        }
        await Promise.race([sleep(50), ended]);
      }
    },
    async stop(graceMs) {
      stopping.abort();
      const last = child;
      if (last !== undefined) signalProcess(last.pid, 'SIGCONT');
      await last?.end('SIGTERM', graceMs);
      await ended;
    },
  };
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

async function logSince(file: string, start: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const text = Buffer.alloc(Math.max(0, size - start));
    await handle.read(text, 0, text.length, start);
    return text.toString('utf8');
  } finally {
    await handle.close();
  }
}

function lastLines(log: string): string {
  return log
    .trimEnd()
    .split('\n')
    .slice(-8)
    .map((line) => line.slice(0, 1000))
    .join('\n');
}
