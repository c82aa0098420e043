import { nanosecondsOf } from '../../engines/sync/file-times.ts';
import type { ListedObject } from '../../engines/sync/listing.ts';
import type { SkippedItem, SourceEntry } from '../connector.ts';

const fileMode = 0o644;
const directoryMode = 0o755;
/** What a document whose size nobody knows is counted as until it has been read. */
const supposedBytes = 1024 * 1024;

export const rootEntry: SourceEntry = {
  path: Buffer.from('.'),
  type: 'directory',
  sizeBytes: 0,
  mode: directoryMode,
  uid: 0,
  gid: 0,
  mtimeNs: 0n,
};

/** In byte order. A second item of the same name, as drives may have, is left out with a warning. */
export function toEntries(listed: readonly ListedObject[]): (SourceEntry | SkippedItem)[] {
  const named = listed.map((item) => ({ item, path: Buffer.from(item.path) }));
  named.sort((a, b) => Buffer.compare(a.path, b.path));
  return named.map(({ item, path }, at) => {
    if (at > 0 && named[at - 1]?.path.equals(path) === true) {
      return { path, skipped: 'ITEM_NAME_UNSUPPORTED', detail: 'another item of the folder has the same name' };
    }
    return toEntry(item, path);
  });
}

function toEntry({ isDirectory, sizeBytes, mtime }: ListedObject, path: Buffer): SourceEntry {
  const common = { path, uid: 0, gid: 0, mtimeNs: nanosecondsOf(mtime) };
  if (isDirectory) return { ...common, type: 'directory', sizeBytes: 0, mode: directoryMode };
  return { ...common, type: 'file', sizeBytes: sizeBytes < 0 ? supposedBytes : sizeBytes, mode: fileMode };
}
