import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repositoryRoot } from '../repository-root.ts';

export interface RunningScript {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves when stdout has text that fits; rejects when the script ends first. */
  until(pattern: RegExp): Promise<void>;
  signal(name: NodeJS.Signals): void;
  readonly ended: Promise<number | null>;
}

/** Runs one of our own scripts as a process, with `env` added to ours. */
export function runScript(script: string, args: readonly string[], env: Record<string, string> = {}): RunningScript {
  const child = spawn(process.execPath, [join(repositoryRoot, script), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const { pid } = child;
  if (pid === undefined) throw new Error(`${script} could not be started`);
  return {
    pid,
    stdout: () => stdout,
    stderr: () => stderr,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (pattern.test(stdout)) resolve();
        };
        child.stdout.on('data', look);
        void ended.then((code) => reject(new Error(`${script} ended with ${code}:\n${stdout}\n${stderr}`)));
        look();
      }),
    signal: (name) => void child.kill(name),
    ended,
  };
}
