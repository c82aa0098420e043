import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import { describeOutcome, runChild, startChild } from '../../process/run-child.ts';

/** What is unpacked where: a directory by its open descriptor, so that its path may be of any length. */
export interface Extraction {
  readonly directoryFd: number;
  readonly tar: AsyncIterable<Buffer>;
  readonly signal: AbortSignal;
}

const extractArgs = [
  ...['-x', '-f', '-', '-p', '--numeric-owner', '--delay-directory-restore', '--warning=no-timestamp'],
  // Those that must not be restored are not in the stream.
  ...['--xattrs', '--xattrs-include=*'],
];

/**
 * Unpacks a tar stream with GNU tar, which restores mtimes to the nanosecond and refuses to be led out of its directory. Throws what
 * the stream throws; else STORAGE_FULL, RESTORE_FAILED; the signal's reason when aborted.
 */
export async function extractTar({ directoryFd, tar, signal }: Extraction): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  const child = startChild({
    file: 'tar',
    args: [...extractArgs, isRoot ? '--same-owner' : '--no-same-owner', '-C', '/proc/self/fd/3'],
    stdin: 'pipe',
    fds: [directoryFd],
    signal,
  });
  let sourceError: unknown;
  const source = Readable.from(noteError(tar, (error) => (sourceError = error)));
  const feed = child.stdin === null ? Promise.resolve() : pipeline(source, child.stdin);
  const [fed] = await Promise.allSettled([
    feed.catch((error: unknown) => {
      // An end of input would look like a whole stream to tar. (Where tar broke the pipe, it ends by itself.)
      if (sourceError !== undefined) child.kill();
      throw error;
    }),
    child.outcome,
  ]);
  const outcome = await child.outcome;
  signal.throwIfAborted();
  if (sourceError !== undefined) throw sourceError;
  if (outcome.succeeded && fed.status === 'fulfilled') return;
  const detail = describeOutcome('tar', outcome);
  throw new XVaultError(/No space left|Disk quota exceeded/.test(outcome.stderr) ? 'STORAGE_FULL' : 'RESTORE_FAILED', {
    detail,
    ...(fed.status === 'rejected' ? { cause: fed.reason } : {}),
  });
}

/** Removes a tree, also one whose paths are too long for system calls or whose directories may not be entered. */
export async function removeTree(path: string): Promise<void> {
  const first = await runChild({ file: 'rm', args: ['-rf', '--', path] });
  if (first.succeeded) return;
  await runChild({ file: 'chmod', args: ['-R', 'u+rwx', '--', path] });
  const second = await runChild({ file: 'rm', args: ['-rf', '--', path] });
  if (!second.succeeded) throw new XVaultError('RESTORE_FAILED', { detail: describeOutcome('rm', second) });
}

/** Flushes the file system that holds a path. */
export async function syncFileSystem(path: string, signal: AbortSignal): Promise<void> {
  const outcome = await runChild({ file: 'sync', args: ['-f', '--', path], signal });
  signal.throwIfAborted();
  if (!outcome.succeeded) throw new XVaultError('RESTORE_FAILED', { detail: describeOutcome('sync', outcome) });
}

async function* noteError(tar: AsyncIterable<Buffer>, note: (error: unknown) => void): AsyncGenerator<Buffer> {
  try {
    yield* tar;
  } catch (error) {
    note(error);
    throw error;
  }
}
