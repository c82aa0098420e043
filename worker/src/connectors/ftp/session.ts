import { XVaultError } from '@xvault/shared/errors.ts';
import type { FtpConfig } from '@xvault/shared/sources.ts';
import { isSkipped, type ListOptions, type Measure, type ReadResult, type SourceSession } from '../connector.ts';
import { DirectoryLister, skip } from './directory.ts';
import { openLargeFile, readSmallFile } from './files.ts';
import { joinPath, nameToWire } from './names.ts';
import type { FtpPool } from './pool.ts';
import { walk } from './walk.ts';

const smallFileBytes = 1024 * 1024;
const rootPath = Buffer.from('.');

/**
 * A source over FTP. The protocol tells nothing of inodes, so hard links are copied as files of their own; links are as the
 * server shows them. A change of a small file while it is read is noticed by its size alone.
 */
export function ftpSession(pool: FtpPool, config: FtpConfig): SourceSession {
  const root = Buffer.from(config.path);
  const { encoding } = config;
  const wireOf = (path: Buffer) => nameToWire(joinPath(root, path), encoding);
  const unsayable = (path: Buffer) => skip(path, 'ITEM_NAME_UNSUPPORTED', 'the protocol cannot carry this name');

  function list({ oneFileSystem, signal, filter }: ListOptions) {
    if (oneFileSystem) {
      // To back up more than was asked for, or less, would both be wrong.
      throw new XVaultError('SOURCE_PROTOCOL', { detail: 'FTP servers cannot tell file systems apart' });
    }
    const lister = new DirectoryLister({ pool, encoding, root });
    const mode = { mode: 0o755, uid: 0, gid: 0, mtimeNs: 0n };
    return walk({
      root: { path: rootPath, type: 'directory', sizeBytes: 0, ...mode },
      width: pool.width,
      list: (directory, depth) => lister.list(directory, depth, signal),
      enters: ({ path }) => filter?.judge(path, true) !== 'prune',
    });
  }

  return {
    smallFileBytes,
    batchesInFlight: 2,
    async *list(options) {
      yield* list(options);
    },
    readMany(entries, signal): Promise<ReadResult[]> {
      return Promise.all(
        entries.map((entry) => {
          const wire = wireOf(entry.path);
          if (wire === undefined) return { ok: false, skipped: unsayable(entry.path) } as const;
          return readSmallFile(pool, wire, entry, smallFileBytes, signal);
        }),
      );
    },
    async open(entry, signal) {
      const wire = wireOf(entry.path);
      return wire === undefined ? unsayable(entry.path) : openLargeFile(pool, wire, entry, signal);
    },
    async measure(options): Promise<Measure> {
      return countFiles(list(options));
    },
    close: async () => pool.close(),
  };
}

async function countFiles(items: ReturnType<typeof walk>): Promise<Measure> {
  let fileCount = 0;
  let totalBytes = 0;
  for await (const item of items) {
    if (isSkipped(item) || item.type !== 'file') continue;
    fileCount += 1;
    totalBytes += item.sizeBytes;
  }
  return { fileCount, totalBytes };
}
