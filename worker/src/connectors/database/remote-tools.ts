import { asXVaultError, XVaultError } from '@xvault/shared/errors.ts';
import type { RemoteProcess, SshClient } from '../ssh/client.ts';
import { missing } from './local-tools.ts';
import { shellQuote } from './shell-quote.ts';
import type { RunningTool, ToolCommand, ToolHost, ToolOutcome } from './tool-host.ts';

const firstDescriptor = 3;
const endOfFile = '.';
/** Programs are where login shells of hosting servers do not always look. */
const path = 'PATH="$PATH:/usr/local/bin:/usr/bin:/bin:/usr/local/mysql/bin:/usr/local/sbin:/usr/sbin"; export PATH';

/**
 * Programs of the far side of an SSH connection. What a program reads from {@link ToolCommand.files} goes there on the standard
 * input of its command: the shell writes it to a file that only its user can read, opens it, and removes its name before the
 * program starts. So a password is in no argument list, no environment, and no file that is left behind.
 */
export function remoteTools(ssh: SshClient): ToolHost {
  return {
    async find(names, signal) {
      const search = names.map((name) => `command -v ${shellQuote(name)}`).join(' || ');
      const script = `${path}; p=$(${search}) || exit 127; printf '%s\\n' "$p"; exec "$p" --version`;
      const process_ = await ssh.exec(`exec sh -c ${shellQuote(script)}`, { signal });
      process_.stdin.end();
      const said = Buffer.concat(await process_.stdout.toArray()).toString();
      const { code } = await process_.exit;
      const [program = '', ...version] = said.split('\n');
      if (code !== 0 || program === '') throw missing(names);
      return { program, versionText: version.join('\n').trim() };
    },
    async start(command) {
      const process_ = await ssh.exec(`exec sh -c ${shellQuote(scriptOf(command))}`, { signal: command.signal });
      for (const text of command.files) process_.stdin.write(linesOf(text));
      if (command.stdin === 'ignore') process_.stdin.end();
      return {
        stdin: command.stdin === 'pipe' ? process_.stdin : null,
        stdout: process_.stdout,
        kill: () => process_.kill(),
        outcome: outcomeOf(command, process_),
      } satisfies RunningTool;
    },
  };
}

/** The files in order, each closed by a line that none of them has. */
function linesOf(text: string): string {
  const lines = text.endsWith('\n') ? text : `${text}\n`;
  if (lines.split('\n').includes(endOfFile)) throw new XVaultError('SOURCE_PROTOCOL', { detail: 'a line of one dot' });
  return `${lines}${endOfFile}\n`;
}

function scriptOf(command: ToolCommand): string {
  const paths = command.files.map((_, at) => `/dev/fd/${firstDescriptor + at}`);
  const files = paths.map((_, at) => receiveFile(firstDescriptor + at));
  const env = Object.entries(command.env?.(paths) ?? {}).map(([name, value]) => `export ${name}=${shellQuote(value)}`);
  const words = [command.program, ...command.args(paths)].map(shellQuote).join(' ');
  return [path, 'umask 077', folder, ...files, 'unset l f d', 'LC_ALL=C; export LC_ALL', ...env, `exec ${words}`].join(
    '; ',
  );
}

/** Memory where the far side has it. */
const folder = `d=/dev/shm; [ -d "$d" ] && [ -w "$d" ] || d=\${TMPDIR:-/tmp}`;

function receiveFile(descriptor: number): string {
  const read = `while IFS= read -r l && [ "$l" != ${endOfFile} ]; do printf '%s\\n' "$l"; done > "$f"`;
  return `f=$(mktemp "$d/.xvault.XXXXXX") || exit 126; trap 'rm -f "$f"' EXIT HUP INT TERM; ${read}; exec ${descriptor}< "$f"; rm -f "$f"`;
}

async function outcomeOf({ program, signal }: ToolCommand, process_: RemoteProcess): Promise<ToolOutcome> {
  try {
    const { code, signal: killedBy } = await process_.exit;
    const stderr = process_.stderrTail();
    const end = code === null ? `was killed by ${killedBy ?? 'an unknown signal'}` : `ended with exit code ${code}`;
    const description = `${program} (far side) ${end}: ${stderr.trim()}`;
    return { succeeded: code === 0, aborted: false, stderr, description };
  } catch (error) {
    const stderr = process_.stderrTail();
    const lost = asXVaultError(error);
    return { succeeded: false, aborted: signal.aborted, stderr, description: lost.detail ?? lost.code, lost };
  }
}
