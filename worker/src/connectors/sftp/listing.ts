import { XVaultError } from '@xvault/shared/errors.ts';
import type { ListOptions, SkippedItem, SourceEntry } from '../connector.ts';
import { isSkipped } from '../connector.ts';
import { listDirectory } from './directory.ts';
import { joinPath, toEntry } from './entries.ts';
import { LinkFollower } from './follow.ts';
import type { SftpLinks } from './link.ts';
import { fileSystemId } from './operations.ts';
import { type OpenedRoot, rootError } from './root.ts';
import { SftpStatusError } from './status.ts';
import { type WalkSource, walk } from './walk.ts';
import type { SftpWire } from './wire.ts';

type Item = SourceEntry | SkippedItem;

export const rootPath = Buffer.from('.');

/** A path of a listing as the server has it. */
export function remotePath(root: OpenedRoot, path: Buffer): Buffer {
  return path.equals(rootPath) ? root.path : joinPath(root.path, path);
}

/** The tree below the root in order, over broken connections if need be. */
export async function* listTree(links: SftpLinks, root: OpenedRoot, options: ListOptions): AsyncGenerator<Item> {
  const source = treeSource(links, root, options);
  // Before anything is listed it is known whether what was asked for can be done.
  await source.enters(source.root);
  yield* walk(source);
}

/** What {@link walk} needs, by SFTP alone. */
export function treeSource(
  links: SftpLinks,
  root: OpenedRoot,
  options: ListOptions,
  follower = followerOf(root, options),
): WalkSource {
  const { signal, filter } = options;
  const remote = (path: Buffer) => remotePath(root, path);
  const run = <T>(task: (wire: SftpWire) => Promise<T>) => links.run(({ wire }) => task(wire), signal);
  let home: Promise<bigint> | undefined;
  return {
    root: toEntry(rootPath, 'directory', root.attrs),
    async list(path) {
      const items = await run(async (wire) => {
        const found = await listDirectory(wire, remote(path), path, signal);
        return follower ? follower.follow(wire, found, remote, signal) : found;
      });
      return filter ? items.filter((item) => isWanted(item, filter)) : items;
    },
    async enters({ path }) {
      if (!options.oneFileSystem) return true;
      home ??= run((wire) => homeFileSystem(wire, root.path, signal));
      return (await home) === (await run((wire) => fileSystemId(wire, remote(path), signal)));
    },
    remote,
  };
}

/** Undefined where symlinks are not followed. */
export function followerOf(root: OpenedRoot, { followSymlinks }: ListOptions): LinkFollower | undefined {
  return followSymlinks === true ? new LinkFollower(root.path) : undefined;
}

/** A directory that is left out itself may hold what is not. */
export function isWanted(item: Item, filter: NonNullable<ListOptions['filter']>): boolean {
  if (isSkipped(item)) return true;
  const verdict = filter.judge(item.path, item.type === 'directory');
  return verdict === 'take' || (verdict === 'skip' && item.type === 'directory');
}

async function homeFileSystem(wire: SftpWire, path: Buffer, signal: AbortSignal): Promise<bigint> {
  try {
    return await fileSystemId(wire, path, signal);
  } catch (error) {
    if (!(error instanceof SftpStatusError)) throw error;
    // To back up more than was asked for, or less, would both be wrong.
    throw new XVaultError('SOURCE_PROTOCOL', {
      detail: 'the server cannot tell file systems apart',
      cause: rootError(error),
    });
  }
}
