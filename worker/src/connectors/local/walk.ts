import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import type { SkippedItem, SourceEntry } from '../connector.ts';
import type { DirectoryCursor } from './directory-cursor.ts';
import { skippedBy } from './item-errors.ts';
import { entryType, toEntry } from './stat-entry.ts';

interface Frame {
  /** Path below the root, with a closing slash; empty for the root. */
  readonly prefix: Buffer;
  readonly names: Buffer[];
  next: number;
}

const slash = Buffer.from('/');

/**
 * Everything below the cursor's root: parents first, names in byte order. Synchronous, for a thread of its own. Holds the
 * names of one directory per level and nothing else.
 */
export function* walk(cursor: DirectoryCursor, oneFileSystem: boolean): Generator<SourceEntry | SkippedItem> {
  const rootStats = lstatSync(cursor.path(), { bigint: true });
  yield toEntry(Buffer.from('.'), 'directory', rootStats);
  const stack: Frame[] = [{ prefix: Buffer.alloc(0), names: sortedNames(cursor), next: 0 }];
  for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
    const name = frame.names[frame.next];
    frame.next += 1;
    if (name === undefined) {
      stack.pop();
      if (stack.length > 0) cursor.pop();
      continue;
    }
    const path = Buffer.concat([frame.prefix, name]);
    const found = look(cursor, name, path);
    yield found.item;
    if (found.device === undefined || (oneFileSystem && found.device !== rootStats.dev)) continue;
    const names = enter(cursor, name, path);
    if (Array.isArray(names)) stack.push({ prefix: Buffer.concat([path, slash]), names, next: 0 });
    else yield names;
  }
}

/** The item, and the device of a directory. */
function look(
  cursor: DirectoryCursor,
  name: Buffer,
  path: Buffer,
): { item: SourceEntry | SkippedItem; device?: bigint } {
  try {
    const place = cursor.pathOf(name);
    const stats = lstatSync(place, { bigint: true });
    const type = entryType(stats);
    if (type === undefined) return { item: { path, skipped: 'ITEM_UNSUPPORTED', detail: 'a socket, pipe or device' } };
    if (type === 'symlink') return { item: toEntry(path, type, stats, readlinkSync(place, { encoding: 'buffer' })) };
    return type === 'directory'
      ? { item: toEntry(path, type, stats), device: stats.dev }
      : { item: toEntry(path, type, stats) };
  } catch (error) {
    return { item: skippedBy(error, path) };
  }
}

/** Moves into a directory and lists it; where that fails the cursor stays. */
function enter(cursor: DirectoryCursor, name: Buffer, path: Buffer): Buffer[] | SkippedItem {
  const { depth } = cursor;
  try {
    cursor.push(name);
    return sortedNames(cursor);
  } catch (error) {
    if (cursor.depth > depth) cursor.pop();
    return skippedBy(error, path);
  }
}

function sortedNames(cursor: DirectoryCursor): Buffer[] {
  return readdirSync(cursor.path(), { encoding: 'buffer' }).sort(Buffer.compare);
}
