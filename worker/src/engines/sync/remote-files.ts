import { join } from 'node:path';
import { z } from 'zod';
import { type RcClient, RcError } from './rclone/rc-client.ts';

const removalMs = 10_000;

/** Brings one object to a file of the run directory. False when it is not there. */
export async function fetchFile(
  rc: RcClient,
  from: { readonly fs: string; readonly path: string },
  directory: string,
  name: string,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    await rc.call(
      'operations/copyfile',
      { srcFs: from.fs, srcRemote: from.path, dstFs: directory, dstRemote: name },
      signal,
    );
    return join(directory, name);
  } catch (error) {
    if (error instanceof RcError && /not found|no such file|NoSuchKey/i.test(error.words)) return null;
    throw error;
  }
}

const features = z.object({ Features: z.object({ Move: z.boolean().default(false) }) });

/** Puts a file of the run directory to a remote, whole or not at all. */
export async function storeFile(
  rc: RcClient,
  directory: string,
  name: string,
  to: { readonly fs: string; readonly path: string },
  signal: AbortSignal,
): Promise<void> {
  const from = { srcFs: directory, srcRemote: name };
  const { Features } = features.parse(await rc.call('operations/fsinfo', { fs: to.fs }, signal));
  if (!Features.Move) {
    // A bucket has an object when it has all of it.
    await rc.call('operations/copyfile', { ...from, dstFs: to.fs, dstRemote: to.path }, signal);
    return;
  }
  const part = `${to.path}.part`;
  try {
    await rc.call('operations/copyfile', { ...from, dstFs: to.fs, dstRemote: part }, signal);
    const move = { srcFs: to.fs, srcRemote: part, dstFs: to.fs, dstRemote: to.path };
    await rc.call('operations/movefile', move, signal);
  } catch (error) {
    // It is of no use to anybody; where it cannot be removed either, the next one replaces it.
    await Promise.allSettled([deleteFile(rc, to.fs, part, AbortSignal.timeout(removalMs))]);
    throw error;
  }
}

export async function deleteFile(rc: RcClient, fs: string, path: string, signal?: AbortSignal): Promise<void> {
  try {
    await rc.call('operations/deletefile', { fs, remote: path }, signal);
  } catch (error) {
    if (error instanceof RcError && /not found|no such file/i.test(error.words)) return;
    throw error;
  }
}
