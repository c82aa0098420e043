import type { ListOptions, Measure, ReadResult, SkippedItem, SourceEntry, SourceSession } from '../connector.ts';
import { isSkipped } from '../connector.ts';
import type { SshClient } from '../ssh/client.ts';
import { runOnServer } from '../ssh/run-command.ts';
import { openLargeFile } from './large-file.ts';
import type { SftpLinks } from './link.ts';
import { listTree, remotePath } from './listing.ts';
import type { OpenedRoot } from './root.ts';
import { Semaphore } from './semaphore.ts';
import { readSmallFile } from './small-files.ts';

/** Small files read at a time. Each holds a handle, of which servers give about a thousand, older ones a hundred. */
const filesInFlight = 96;
export const smallFileBytes = 256 * 1024;

export type TreeListing = (options: ListOptions) => AsyncIterable<SourceEntry | SkippedItem>;

/**
 * A source over SFTP version 3. The protocol has whole seconds only, and tells nothing of inodes: hard links are copied as
 * files of their own unless `listing` knows better, and a file that is replaced by a symlink between listing and reading is
 * followed by the server.
 */
export function sftpSession(
  links: SftpLinks,
  root: OpenedRoot,
  listing: TreeListing = (options) => listTree(links, root, options),
): SourceSession {
  const slots = new Semaphore(filesInFlight);
  return {
    smallFileBytes,
    batchesInFlight: 4,
    list(options) {
      if (options.readConcurrency !== undefined) slots.resize(options.readConcurrency);
      return listing(options);
    },
    readMany(entries: readonly SourceEntry[], signal: AbortSignal): Promise<ReadResult[]> {
      const read = (entry: SourceEntry) =>
        links.run(
          ({ wire }) => readSmallFile(wire, remotePath(root, entry.path), entry, smallFileBytes, signal),
          signal,
        );
      return Promise.all(entries.map((entry) => slots.run(() => read(entry))));
    },
    open: (entry, signal) => openLargeFile(links, remotePath(root, entry.path), entry, signal),
    async measure(options): Promise<Measure> {
      let fileCount = 0;
      let totalBytes = 0;
      const counted = new Set<string>();
      for await (const item of listing(options)) {
        if (isSkipped(item) || item.type !== 'file') continue;
        fileCount += 1;
        const { hardLinkKey, sizeBytes } = item;
        // Further names of one file bring no bytes.
        if (hardLinkKey === undefined || !counted.has(hardLinkKey)) totalBytes += sizeBytes;
        if (hardLinkKey !== undefined) counted.add(hardLinkKey);
      }
      return { fileCount, totalBytes };
    },
    describe: () => ({ transport: 'sftp', connections_lost: links.losses }),
    async runCommand(command, options) {
      // Once begun it is not begun again: nobody knows how far it came.
      const client = await links.run(async (link) => standing(link.client), options.signal);
      return runOnServer(client, command, options);
    },
    close: () => links.close(),
  };
}

function standing(client: SshClient): SshClient {
  const lost = client.lost();
  if (lost) throw lost;
  return client;
}
