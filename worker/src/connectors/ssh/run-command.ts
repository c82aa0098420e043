import { XVaultError } from '@xvault/shared/errors.ts';
import { untilAborted } from '../../net/until-aborted.ts';
import { TailBuffer } from '../../process/tail-buffer.ts';
import type { CommandOptions, CommandResult } from '../connector.ts';
import type { SshClient } from './client.ts';

const outputTailBytes = 4096;

/**
 * Runs a command in the login shell, with nothing on its standard input. Throws SOURCE_TIMEOUT when it takes too long (it is
 * killed then, as far as the server lets us), SOURCE_PROTOCOL where the server runs no commands, or the signal's reason.
 */
export async function runOnServer(
  client: SshClient,
  command: string,
  { timeoutMs, signal }: CommandOptions,
): Promise<CommandResult> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const either = AbortSignal.any([signal, timeout]);
  const tail = new TailBuffer(outputTailBytes);
  const keep = (chunk: Buffer) => tail.push(chunk);
  try {
    const remote = await client.exec(command, { signal: either, onStderr: keep });
    remote.stdin.end();
    remote.stdout.on('data', keep);
    const exit = await untilAborted(remote.exit, either);
    return { exitCode: exit.code, outputTail: tail.toString() };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!timeout.aborted) throw error;
    throw new XVaultError('SOURCE_TIMEOUT', { detail: `the command took longer than ${timeoutMs} ms` });
  }
}
