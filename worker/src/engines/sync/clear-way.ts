import { currentDirectory } from './layout.ts';
import { type RcClient, RcError } from './rclone/rc-client.ts';
import { deleteFile } from './remote-files.ts';

/** Paths that were files and must become directories, or were below what must become a file. Most destinations cannot hold both. */
export function pathsInTheWay(before: ReadonlySet<string>, source: ReadonlySet<string>): string[] {
  const directories = new Set<string>();
  for (const path of source) for (const parent of parentsOf(path)) directories.add(parent);
  return [...before].filter(
    (path) => directories.has(path) || (!source.has(path) && parentsOf(path).some((parent) => source.has(parent))),
  );
}

/** Moves objects out of the way of the transfer, which rclone does not do itself; `keptFs` null removes them. */
export async function clearWay(
  rc: RcClient,
  dstFs: string,
  paths: readonly string[],
  keptFs: string | null,
  signal: AbortSignal,
): Promise<void> {
  const fs = `${dstFs}${currentDirectory}`;
  for (const path of paths) {
    if (keptFs === null) await deleteFile(rc, fs, path, signal);
    else await moveFile(rc, fs, keptFs, path, signal);
  }
  const tops = new Set(paths.flatMap(parentsOf));
  // The deepest first, each only if it is empty.
  for (const directory of [...tops].sort((a, b) => b.length - a.length)) {
    await Promise.allSettled([rc.call('operations/rmdir', { fs, remote: directory }, signal)]);
  }
}

async function moveFile(rc: RcClient, fs: string, keptFs: string, path: string, signal: AbortSignal): Promise<void> {
  try {
    await rc.call('operations/movefile', { srcFs: fs, srcRemote: path, dstFs: keptFs, dstRemote: path }, signal);
  } catch (error) {
    // An earlier attempt that did not come to its end has moved it.
    if (!(error instanceof RcError && /not found/i.test(error.words))) throw error;
  }
}

function parentsOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
}
