import type { SkippedItem, SourceEntry } from '../connector.ts';
import { joinPath, skip, toEntry, typeOf, typeOfListed } from './entries.ts';
import { lstat, openDirectory, readLink, readNames } from './operations.ts';
import type { NamedItem } from './packets.ts';
import { itemCodeOf, longestPathBytes, SftpStatusError } from './status.ts';
import type { SftpWire } from './wire.ts';

/** READDIR requests in flight for one directory, once it has shown to be more than one reply long. */
const readsAhead = 8;
/** Items of one directory that are looked at more closely (READLINK, LSTAT) at a time. */
const lookupsAtOnce = 64;
/** OpenSSH's server leaves a name out, without a word, when the joined path is too long; a name has up to 255 bytes. */
const hidingPathBytes = longestPathBytes - 1 - 255;

/**
 * What one directory holds, in byte order of the names. `remote` is its path on the server, `path` within the listing.
 * Throws SftpStatusError where it cannot be listed.
 */
export async function listDirectory(
  wire: SftpWire,
  remote: Buffer,
  path: Buffer,
  signal: AbortSignal,
): Promise<(SourceEntry | SkippedItem)[]> {
  const handle = await openDirectory(wire, remote, signal);
  let names: NamedItem[];
  try {
    names = await readAllNames(wire, handle, signal);
  } finally {
    wire.release(handle);
  }
  names.sort((a, b) => Buffer.compare(a.name, b.name));
  const items: (SourceEntry | SkippedItem)[] = [];
  for (let at = 0; at < names.length; at += lookupsAtOnce) {
    const slice = names.slice(at, at + lookupsAtOnce);
    items.push(...(await Promise.all(slice.map((item) => resolveItem(wire, remote, path, item, signal)))));
  }
  if (remote.length > hidingPathBytes) {
    const detail = 'names in it that make the path too long are hidden by some servers';
    items.push(skip(path, 'ITEM_NAME_UNSUPPORTED', detail));
  }
  return items;
}

async function readAllNames(wire: SftpWire, handle: Buffer, signal: AbortSignal): Promise<NamedItem[]> {
  const all: NamedItem[] = [];
  for (let ahead = 2, ended = false; !ended; ahead = readsAhead) {
    const replies = await Promise.all(Array.from({ length: ahead }, () => readNames(wire, handle, signal)));
    for (const reply of replies) {
      if (reply === undefined) ended = true;
      for (const item of reply ?? []) if (!isDots(item.name)) all.push(item);
    }
  }
  return all;
}

async function resolveItem(
  wire: SftpWire,
  remoteParent: Buffer,
  parent: Buffer,
  item: NamedItem,
  signal: AbortSignal,
): Promise<SourceEntry | SkippedItem> {
  // A reply's names are views of its packet, which must not be held as long as they are.
  const path = joinPath(parent, Buffer.from(item.name));
  // A server must not be able to name anything outside the directory that was asked for.
  if (item.name.length === 0 || item.name.includes(0x2f) || item.name.includes(0)) {
    return skip(
      Buffer.from(parent),
      'ITEM_NAME_UNSUPPORTED',
      'the server sent a name with a slash, a NUL or nothing in it',
    );
  }
  const remote = joinPath(remoteParent, item.name);
  try {
    let { attrs } = item;
    let type = typeOfListed(item);
    if (type === 'unknown' || (type === 'file' && attrs.sizeBytes === undefined)) {
      attrs = await lstat(wire, remote, signal);
      type = typeOf(attrs);
    }
    if (type === 'other' || type === 'unknown')
      return skip(path, 'ITEM_UNSUPPORTED', 'not a file, directory or symlink');
    if (type !== 'symlink') return toEntry(path, type, attrs);
    return toEntry(path, type, attrs, Buffer.from(await readLink(wire, remote, signal)));
  } catch (error) {
    if (error instanceof SftpStatusError) return skip(path, itemCodeOf(error, remote), error.message);
    throw error;
  }
}

function isDots(name: Buffer): boolean {
  return name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e));
}
