import { classify, isItemError } from '../../engines/sync/rclone/classify.ts';
import { RcError } from '../../engines/sync/rclone/rc-client.ts';
import {
  isSkipped,
  type ListOptions,
  type Measure,
  type SkippedItem,
  type SourceEntry,
  type SourceSession,
} from '../connector.ts';
import { walk } from '../ftp/walk.ts';
import { Semaphore } from '../sftp/semaphore.ts';
import { rootEntry, toEntries } from './entries.ts';
import { listDirectory, type RcloneLink, sourceError } from './link.ts';
import { openFile, readFile } from './read.ts';

const smallFileBytes = 1024 * 1024;
const filesInFlight = 6;
const directoriesInFlight = 4;

/** What rclone reaches, as files and directories. Its owners, modes and links are not known. */
export function rcloneSession(link: RcloneLink): SourceSession {
  const slots = new Semaphore(filesInFlight);
  return {
    smallFileBytes,
    batchesInFlight: 2,
    list(options) {
      if (options.readConcurrency !== undefined) slots.resize(options.readConcurrency);
      return listTree(link, options);
    },
    readMany: (entries, signal) => Promise.all(entries.map((entry) => slots.run(() => readFile(link, entry, signal)))),
    open: (entry, signal) => openFile(link, entry, signal),
    measure: (options) => measureTree(link, options),
    describe: () => ({ transport: 'rclone', backend: link.type, rclone: link.version }),
    close: () => link.close(),
  };
}

/** In order, one directory's list in memory for each level of depth. */
export function listTree(link: RcloneLink, { filter, signal }: ListOptions): AsyncGenerator<SourceEntry | SkippedItem> {
  return walk({
    root: rootEntry,
    width: directoriesInFlight,
    enters: ({ path }) => filter?.judge(path, true) !== 'prune',
    async list({ path }, depth) {
      const directory = depth === 0 ? '' : path.toString();
      try {
        return toEntries(await listDirectory(link, directory, signal));
      } catch (error) {
        const isItem = error instanceof RcError && depth > 0 && isItemError(classify(error.words));
        if (!isItem) throw sourceError(link, error, 'listing a directory');
        return [{ path, skipped: 'ITEM_UNREADABLE', detail: error.words.slice(0, 500) }];
      }
    },
  });
}

export async function measureTree(link: RcloneLink, options: ListOptions): Promise<Measure> {
  let fileCount = 0;
  let totalBytes = 0;
  for await (const item of listTree(link, options)) {
    if (isSkipped(item) || item.type !== 'file') continue;
    if (options.filter !== undefined && options.filter.judge(item.path, false) !== 'take') continue;
    fileCount += 1;
    totalBytes += item.sizeBytes;
  }
  return { fileCount, totalBytes };
}
