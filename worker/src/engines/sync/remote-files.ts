import { join } from 'node:path';
import { type RcClient, RcError } from './rclone/rc-client.ts';

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

/** Puts a file of the run directory to a remote; whole or not at all where rclone writes under another name first. */
export async function storeFile(
  rc: RcClient,
  directory: string,
  name: string,
  to: { readonly fs: string; readonly path: string },
  signal: AbortSignal,
): Promise<void> {
  await rc.call('operations/copyfile', { srcFs: directory, srcRemote: name, dstFs: to.fs, dstRemote: to.path }, signal);
}

export async function deleteFile(rc: RcClient, fs: string, path: string, signal?: AbortSignal): Promise<void> {
  try {
    await rc.call('operations/deletefile', { fs, remote: path }, signal);
  } catch (error) {
    if (error instanceof RcError && /not found|no such file/i.test(error.words)) return;
    throw error;
  }
}
