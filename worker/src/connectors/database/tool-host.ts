import type { Readable, Writable } from 'node:stream';
import type { XVaultError } from '@xvault/shared/errors.ts';
import type { NativePipe } from '../../native/pipe.ts';

/** A program of a database: its dumper, its client. */
export interface ToolCommand {
  /** By path or name, as {@link ToolHost.find} gave it. */
  readonly program: string;
  /**
   * Contents of files that the program reads: credentials, certificates. They exist without a name, for this one process, and
   * `args` and `env` get the paths by which it opens them.
   */
  readonly files: readonly string[];
  readonly args: (paths: readonly string[]) => readonly string[];
  readonly env?: (paths: readonly string[]) => Readonly<Record<string, string>>;
  readonly stdin: 'pipe' | 'ignore';
  /** It writes much: where the host can, its output is a {@link RunningTool.pipe}. */
  readonly isBulk?: boolean;
  readonly signal: AbortSignal;
}

export interface ToolOutcome {
  /** It ended by itself, with exit code 0. */
  readonly succeeded: boolean;
  readonly aborted: boolean;
  /** The end of what it said. */
  readonly stderr: string;
  /** For operators: how it ended, and its last words. */
  readonly description: string;
  /** Why it is not known how it ended: the connection to where it ran is gone. */
  readonly lost?: XVaultError;
}

export interface RunningTool {
  readonly stdin: Writable | null;
  readonly stdout: Readable;
  /** Has the output in place of `stdout`. */
  readonly pipe?: NativePipe;
  /** Never rejects. */
  readonly outcome: Promise<ToolOutcome>;
  readonly kill: () => void;
}

export interface FoundTool {
  readonly program: string;
  /** What it says of itself. */
  readonly versionText: string;
}

/** Where programs run: this worker, or the far side of an SSH connection. */
export interface ToolHost {
  /** Where the program is, the first of the names that is there. Throws SOURCE_TOOL_MISSING. */
  find(names: readonly string[], signal: AbortSignal): Promise<FoundTool>;
  start(command: ToolCommand): Promise<RunningTool>;
}

/** The output of a program that says little, once it has succeeded. */
export async function outputOf(
  host: ToolHost,
  command: ToolCommand,
  input: string,
  limitBytes: number,
): Promise<{ readonly outcome: ToolOutcome; readonly output: string }> {
  const tool = await host.start({ ...command, stdin: 'pipe' });
  tool.stdin?.on('error', () => undefined);
  tool.stdin?.end(input);
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of tool.stdout as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > limitBytes) throw new RangeError(`${command.program} says more than ${limitBytes} bytes`);
      pieces.push(piece);
    }
  } catch (error) {
    tool.kill();
    await tool.outcome;
    throw error;
  }
  return { outcome: await tool.outcome, output: Buffer.concat(pieces).toString() };
}
