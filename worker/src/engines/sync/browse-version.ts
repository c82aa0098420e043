import type { FileSearch } from '@xvault/shared/browse.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileEntry } from '@xvault/shared/run-kinds.ts';
import { pathToText, textToPath } from '../../artifact/path-text.ts';
import { searchTest } from '../archive/browse-search.ts';
import { formatMtime } from '../archive/files.ts';
import { nanosecondsOf } from './file-times.ts';
import type { Manifest, ManifestEntry } from './manifest.ts';

export interface VersionBrowsing {
  /** As text; '' is the root. */
  readonly path: string;
  /** All below the path, instead of its direct children. A search is always recursive. */
  readonly recursive: boolean;
  readonly search: FileSearch | null;
  /** 0, or the `nextOffset` of the page before. */
  readonly offset: number;
  readonly limit: number;
}

interface Item {
  readonly path: string;
  /** Null for a directory: a version has none of its own. */
  readonly entry: ManifestEntry | null;
}

/** What lies in a directory of a version, or below it; of an object, itself. Throws NOT_FOUND when there is no such path. */
export function browseVersion(
  { entries, header }: Manifest,
  { path, recursive, search, offset, limit }: VersionBrowsing,
): { readonly entries: FileEntry[]; readonly nextOffset: number | null } {
  const base = textToPath(path.replace(/\/$/, ''))?.toString().replace(/^\.$/, '');
  if (base === undefined) throw notFound(path);
  const items = inOrder(entries.values());
  const below = base === '' ? '' : `${base}/`;
  const isThere = base === '' || items.some((item) => item.path === base);
  if (!isThere) throw notFound(path);
  const isDeep = recursive || search !== null;
  const matches = search === null ? () => true : testOf(search);
  const isFound = (item: Item) => {
    if (item.path === base) return item.entry !== null && matches(item);
    if (!item.path.startsWith(below)) return false;
    return (isDeep || !item.path.slice(below.length).includes('/')) && matches(item);
  };
  const found: FileEntry[] = [];
  for (let at = offset; at < items.length; at += 1) {
    const item = items[at];
    if (item === undefined || !isFound(item)) continue;
    if (found.length === limit) return { entries: found, nextOffset: at };
    found.push(toFileEntry(item, header.created_at));
  }
  return { entries: found, nextOffset: null };
}

/** Each directory before what it holds. */
function inOrder(entries: Iterable<ManifestEntry>): Item[] {
  const items = new Map<string, Item>();
  for (const entry of entries) {
    const { path } = entry;
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const directory = path.slice(0, at);
      if (!items.has(directory)) items.set(directory, { path: directory, entry: null });
    }
    items.set(path, { path, entry });
  }
  const keyed = [...items.values()].map((item) => ({ item, key: Buffer.from(item.path.replaceAll('/', '\0')) }));
  return keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ item }) => item);
}

function testOf(search: FileSearch): (item: Item) => boolean {
  const test = searchTest(search);
  return ({ path, entry }) => {
    const type = entry === null ? 'directory' : 'file';
    const brief = {
      type,
      sizeBytes: entry?.size ?? 0,
      paddingBytes: 0,
      mtimeNs: nanosecondsOf(entry?.mtime ?? null),
    } as const;
    return test({ path: Buffer.from(path), plainText: path.replaceAll('\\', '\\\\'), brief });
  };
}

function toFileEntry({ path, entry }: Item, createdAt: string): FileEntry {
  return {
    path: pathToText(Buffer.from(path)),
    type: entry === null ? 'directory' : 'file',
    size_bytes: Math.max(0, entry?.size ?? 0),
    mode: entry === null ? '0755' : '0644',
    uid: 0,
    gid: 0,
    // Where no time is known, that of the version.
    mtime: formatMtime(nanosecondsOf(entry?.mtime ?? createdAt)),
    link_target: null,
    sha256: entry?.hashes?.sha256 ?? null,
  };
}

function notFound(path: string): XVaultError {
  return new XVaultError('NOT_FOUND', { params: { path } });
}
