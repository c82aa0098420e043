import type { SkippedItem } from '../connector.ts';

/** What file systems take for one name; a longer one could never be unpacked. */
const longestNameBytes = 255;

/** A key below the prefix as a path, with what it is; or why it cannot be one. */
export type KeyPath = { readonly path: Buffer; readonly isDirectory: boolean } | { readonly reason: string };

/** Keys are text without structure: only those whose every part between slashes is a name become paths. */
export function keyToPath(key: string): KeyPath {
  const isDirectory = key.endsWith('/');
  const path = isDirectory ? key.slice(0, -1) : key;
  for (const part of path.split('/')) {
    if (part === '') return { reason: 'the key has an empty part' };
    if (part === '.' || part === '..') return { reason: `the key has a part ${part}` };
    if (part.includes('\0')) return { reason: 'the key holds NUL' };
    if (Buffer.byteLength(part) > longestNameBytes) return { reason: 'a part of the key is longer than 255 bytes' };
  }
  return { path: Buffer.from(path), isDirectory };
}

export function skippedKey(key: string, detail: string): SkippedItem {
  return { path: Buffer.from(key === '' ? '/' : key), skipped: 'ITEM_NAME_UNSUPPORTED', detail };
}

/** Listings are asked for in this encoding, as XML cannot hold every character. */
export function decodeListedKey(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

/** A path of a snapshot as a key; undefined when it is not UTF-8, which keys are. */
export function pathToKey(path: Buffer): string | undefined {
  const text = path.toString();
  return Buffer.from(text).equals(path) ? text : undefined;
}
