import { accessSync, closeSync, constants, readdirSync, realpathSync, statSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import { type NativePipe, openPipe } from '../../native/pipe.ts';
import { describeOutcome, type RunningChild, startChild } from '../../process/run-child.ts';
import { openSecretFile } from './secret-file.ts';
import type { FoundTool, RunningTool, ToolCommand, ToolHost } from './tool-host.ts';

const folders = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/sbin', '/opt/homebrew/bin'];
const firstDescriptor = 3;
const versionTimeoutMs = 10_000;

/** Programs of this worker's machine. */
export const localTools: ToolHost = {
  async find(names, signal) {
    const [program] = programFiles(names);
    if (program === undefined) throw missing(names);
    return { program, versionText: await versionOf(program, signal) };
  },
  async start(command) {
    const files: FileHandle[] = [];
    const pipe = command.isBulk === true ? openPipe() : undefined;
    try {
      for (const text of command.files) files.push(await openSecretFile(text));
      return toRunningTool(command, startLocal(command, files, pipe), pipe);
    } catch (error) {
      pipe?.close();
      throw error;
    } finally {
      // The child has descriptors of its own.
      if (pipe !== undefined) closeSync(pipe.writeFd);
      await Promise.all(files.map((file) => file.close()));
    }
  },
};

/** Every copy of a program with its version: Debian keeps those of each PostgreSQL side by side. */
export async function localCopies(names: readonly string[], signal: AbortSignal): Promise<FoundTool[]> {
  const files = programFiles(names);
  return Promise.all(files.map(async (program) => ({ program, versionText: await versionOf(program, signal) })));
}

export function missing(names: readonly string[]): XVaultError {
  return new XVaultError('SOURCE_TOOL_MISSING', { detail: `none of these programs was found: ${names.join(', ')}` });
}

function programFiles(names: readonly string[]): string[] {
  const candidates = names.flatMap((name) => [...postgresFolders(), ...folders].map((folder) => join(folder, name)));
  return candidates.filter((file) => isExecutable(file) && !isWrapper(file));
}

/** Debian's script that chooses among the versions; they themselves are looked at. */
function isWrapper(file: string): boolean {
  return realpathSync(file).endsWith('/pg_wrapper');
}

function postgresFolders(): string[] {
  try {
    return readdirSync('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`);
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What programs said of themselves, by file and when it was last changed. */
const knownVersions = new Map<string, string>();

async function versionOf(program: string, signal: AbortSignal): Promise<string> {
  const { mtimeMs, size, ino } = statSync(program);
  const key = `${program} ${mtimeMs} ${size} ${ino}`;
  const known = knownVersions.get(key) ?? (await askVersion(program, signal));
  knownVersions.set(key, known);
  return known;
}

async function askVersion(program: string, signal: AbortSignal): Promise<string> {
  const child = startChild({ file: program, args: ['--version'], stdout: 'pipe', signal, timeoutMs: versionTimeoutMs });
  const said = Buffer.concat((await child.stdout?.toArray()) ?? []).toString();
  const outcome = await child.outcome;
  signal.throwIfAborted();
  if (outcome.succeeded) return said.trim();
  throw new XVaultError('SOURCE_TOOL_MISSING', { detail: describeOutcome(program, outcome) });
}

function startLocal(command: ToolCommand, files: readonly FileHandle[], pipe: NativePipe | undefined): RunningChild {
  const paths = files.map((_, at) => `/dev/fd/${firstDescriptor + at}`);
  return startChild({
    file: command.program,
    args: command.args(paths),
    env: { ...command.env?.(paths) },
    stdin: command.stdin,
    stdout: pipe?.writeFd ?? 'pipe',
    fds: files.map(({ fd }) => fd),
    signal: command.signal,
  });
}

function toRunningTool({ program }: ToolCommand, child: RunningChild, pipe: NativePipe | undefined): RunningTool {
  child.outcome.then(({ end }) => {
    // What it left behind may hold the pipe, and nobody wants the rest of the output.
    if (end.cause !== 'exited') pipe?.close();
  });
  return {
    ...(pipe === undefined ? {} : { pipe }),
    stdin: child.stdin,
    stdout: child.stdout ?? Readable.from([]),
    kill: child.kill,
    outcome: child.outcome.then((outcome) => ({
      succeeded: outcome.succeeded,
      aborted: outcome.end.cause === 'aborted',
      stderr: outcome.stderr,
      description: describeOutcome(program, outcome),
    })),
  };
}
