import type { ListOptions, SkippedItem, SourceEntry } from '../connector.ts';
import { joinPath, skip } from '../sftp/entries.ts';
import type { LinkFollower } from '../sftp/follow.ts';
import { followerOf, isWanted, remotePath, rootPath, treeSource } from '../sftp/listing.ts';
import { walk } from '../sftp/walk.ts';
import { entryOfFound, type FoundItem } from './find-records.ts';
import { Finder, type FinderOptions } from './finder.ts';

type Item = SourceEntry | SkippedItem;

/** Directories that are asked for at a time: many of them are answered together. */
const listingsInFlight = 64;
/** Symlinks whose ends are looked at together. */
const looksAtOnce = 64;

/**
 * The tree below the root in order, by find: with hard links and fractions of seconds, which SFTP does not have. A directory
 * that find has something to say against is listed by SFTP, which tells what it is; all are where find cannot be used.
 */
export async function* listByFind(given: FinderOptions, options: ListOptions): AsyncGenerator<Item> {
  const finder = new Finder(given);
  try {
    yield* walkByFind(finder, given, options);
  } finally {
    finder.close();
  }
}

async function* walkByFind(finder: Finder, { links, root }: FinderOptions, options: ListOptions) {
  const { signal, filter, oneFileSystem } = options;
  const follower = followerOf(root, options);
  const bySftp = treeSource(links, root, options, follower);
  const rootItem = await finder.root(signal);
  /** Of directories that find has listed the parents of. */
  const devices = new WeakMap<SourceEntry, string>();

  function toItem(path: Buffer, found: FoundItem): Item {
    const entry = entryOfFound(path, found);
    if (entry === null) return skip(path, 'ITEM_UNSUPPORTED', 'not a file, directory or symlink');
    if (entry.type === 'directory') devices.set(entry, found.device);
    return entry;
  }

  async function list(path: Buffer): Promise<Item[]> {
    const answer = await finder.ask(follower ? 'followed directory' : 'directory', path, signal);
    if (answer === null || answer.inside.some(isIncomplete)) return bySftp.list(path);
    if (answer.item.type !== 'directory') return [skip(path, 'ITEM_VANISHED', 'something else has taken its name')];
    const items = answer.inside.map((found) => toItem(joinPath(path, found.name), found));
    items.sort((a, b) => Buffer.compare(a.path, b.path));
    const followed = follower ? await follow(follower, items) : items;
    return filter ? followed.filter((item) => isWanted(item, filter)) : followed;
  }

  async function follow(by: LinkFollower, items: readonly Item[]): Promise<Item[]> {
    const remote = (path: Buffer) => remotePath(root, path);
    const followed: Item[] = [];
    for (let at = 0; at < items.length; at += looksAtOnce) {
      const slice = items.slice(at, at + looksAtOnce);
      const found = await links.run(({ wire }) => by.follow(wire, slice, remote, signal), signal);
      followed.push(...(await Promise.all(found.map((item, of) => (item === slice[of] ? item : exact(item))))));
    }
    return followed;
  }

  /** What a symlink leads to, with all that find knows of it. */
  async function exact(item: Item): Promise<Item> {
    if ('skipped' in item) return item;
    const answer = await finder.ask('followed item', item.path, signal);
    return answer?.item.type === item.type ? toItem(item.path, answer.item) : item;
  }

  yield* walk({
    ...bySftp,
    listingsInFlight,
    root: (rootItem && entryOfFound(rootPath, rootItem)) ?? bySftp.root,
    list,
    async enters(entry) {
      if (!oneFileSystem || entry.path.equals(rootPath)) return true;
      const device = devices.get(entry);
      return rootItem && device !== undefined ? device === rootItem.device : bySftp.enters(entry);
    },
  });
}

/** A symlink that could not be read. */
function isIncomplete({ type, linkTarget }: FoundItem): boolean {
  return type === 'symlink' && linkTarget.length === 0;
}
