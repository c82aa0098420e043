import { XVaultError } from '@xvault/shared/errors.ts';
import type { ListOptions, Measure, ReadResult, SkippedItem, SourceEntry, SourceSession } from '../connector.ts';
import { isSkipped } from '../connector.ts';
import { listDirectory } from './directory.ts';
import { joinPath, toEntry } from './entries.ts';
import { openLargeFile } from './large-file.ts';
import { fileSystemId } from './operations.ts';
import { type OpenedRoot, rootError } from './root.ts';
import { Semaphore } from './semaphore.ts';
import { readSmallFile } from './small-files.ts';
import { SftpStatusError } from './status.ts';
import { walk } from './walk.ts';
import type { SftpWire } from './wire.ts';

/** Small files read at a time. Each holds a handle, of which servers give about a thousand, older ones a hundred. */
const filesInFlight = 64;
const smallFileBytes = 256 * 1024;

/**
 * A source over SFTP version 3. The protocol has whole seconds only, and tells nothing of inodes: hard links are copied as
 * files of their own, and a file that is replaced by a symlink between listing and reading is followed by the server.
 */
export function sftpSession(wire: SftpWire, root: OpenedRoot, close: () => Promise<void>): SourceSession {
  const slots = new Semaphore(filesInFlight);
  const remote = (path: Buffer) => (path.equals(rootPath) ? root.path : joinPath(root.path, path));

  async function list({ oneFileSystem, signal }: ListOptions): Promise<AsyncIterable<SourceEntry | SkippedItem>> {
    const home = oneFileSystem ? await homeFileSystem(wire, root.path, signal) : undefined;
    return walk({
      root: toEntry(rootPath, 'directory', root.attrs),
      list: (path) => listDirectory(wire, remote(path), path, signal),
      enters: async ({ path }) => home === undefined || (await fileSystemId(wire, remote(path), signal)) === home,
      remote,
    });
  }

  return {
    smallFileBytes,
    batchesInFlight: 4,
    async *list(options) {
      yield* await list(options);
    },
    readMany(entries: readonly SourceEntry[], signal: AbortSignal): Promise<ReadResult[]> {
      const read = (entry: SourceEntry) => readSmallFile(wire, remote(entry.path), entry, smallFileBytes, signal);
      return Promise.all(entries.map((entry) => slots.run(() => read(entry))));
    },
    open: (entry, signal) => openLargeFile(wire, remote(entry.path), entry, signal),
    async measure(options): Promise<Measure> {
      let fileCount = 0;
      let totalBytes = 0;
      for await (const item of await list(options)) {
        if (isSkipped(item) || item.type !== 'file') continue;
        fileCount += 1;
        totalBytes += item.sizeBytes;
      }
      return { fileCount, totalBytes };
    },
    close,
  };
}

const rootPath = Buffer.from('.');

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
