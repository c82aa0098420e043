import { Readable, type Writable } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ClientChannel } from 'ssh2';
import { TailBuffer } from '../../process/tail-buffer.ts';
import { widenWindow } from './channel-window.ts';

export interface ExecOptions {
  readonly signal: AbortSignal;
  /** Each piece of what the command writes to its standard error. */
  readonly onStderr?: (chunk: Buffer) => void;
}

export interface RemoteExit {
  /** Null when a signal ended it. */
  readonly code: number | null;
  /** `SIGTERM` and the like. */
  readonly signal: string | null;
}

/** A command under way on the server. */
export interface RemoteProcess {
  readonly stdin: Writable;
  /** To be consumed, or resumed; destroyed with SOURCE_LOST or the signal's reason when it breaks off. */
  readonly stdout: Readable;
  /** The last 4 KiB of its standard error. */
  stderrTail(): string;
  /**
   * How it ended, once all of its output has been consumed. The end of the output alone does not say that it is complete:
   * check this. Rejects with SOURCE_LOST when the connection broke, or with the signal's reason.
   */
  readonly exit: Promise<RemoteExit>;
  /** Ends it, as far as the server lets us. */
  kill(): void;
}

const stderrTailBytes = 4096;
const bufferedBytes = 1024 * 1024;

/** Wraps the channel of a command that has just been started. */
export function remoteProcess(
  channel: ClientChannel,
  lost: () => XVaultError | undefined,
  { signal, onStderr }: ExecOptions,
): RemoteProcess {
  const tail = new TailBuffer(stderrTailBytes);
  const taken = widenWindow(channel);
  let exit: RemoteExit | undefined;
  const { promise, resolve, reject } = Promise.withResolvers<RemoteExit>();
  // Whoever waits for it hears of it; nobody has to.
  promise.catch(() => undefined);

  const stdout = new Readable({
    highWaterMark: bufferedBytes,
    read: () => void channel.resume(),
    destroy: (error, done) => {
      kill();
      channel.resume();
      done(error);
    },
  });
  stdout.on('error', () => undefined);
  const kill = () => {
    if (exit) return;
    channel.signal('KILL');
    channel.close();
  };
  const fail = (error: unknown) => {
    signal.removeEventListener('abort', onAbort);
    reject(error);
    stdout.destroy(error instanceof Error ? error : new Error(String(error)));
  };
  const onAbort = () => {
    kill();
    fail(signal.reason);
  };

  channel.on('data', (chunk: Buffer) => {
    taken(chunk.length);
    if (!stdout.destroyed && !stdout.push(chunk)) channel.pause();
  });
  channel.stderr.on('data', (chunk: Buffer) => {
    taken(chunk.length);
    tail.push(chunk);
    onStderr?.(chunk);
  });
  channel.on('exit', (code: number | null, name?: string) => {
    exit = { code, signal: code === null ? (name ?? 'unknown') : null };
  });
  // Writing to a command that has ended is no failure of its own: its exit tells.
  channel.on('error', () => undefined);
  channel.once('close', () => {
    signal.removeEventListener('abort', onAbort);
    if (!exit)
      return fail(lost() ?? new XVaultError('SOURCE_LOST', { detail: 'a command ended without an exit status' }));
    stdout.push(null);
    // Output that nobody reads must not keep the end of the command from being known.
    return resolve(exit);
  });
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return { stdin: channel, stdout, stderrTail: () => tail.toString(), exit: promise, kill };
}
