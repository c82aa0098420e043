import type { OpenedFile } from '../../native/binding.ts';

/** A piece of a file that is to be read. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** What of a file is read, in order. */
export interface FileContent {
  readonly extents: readonly Extent[];
  /** Of a file with holes: what comes before its data, in GNU's sparse format 1.0. */
  readonly map?: Buffer;
}

/** All of it, zeros where it has holes. */
export function wholeContent(sizeBytes: number): FileContent {
  return { extents: sizeBytes === 0 ? [] : [{ offset: 0, length: sizeBytes }] };
}

/** All but its holes, where it has any. */
export function contentOf(sizeBytes: number, { map, extents }: OpenedFile): FileContent {
  if (map === undefined || extents === undefined) return wholeContent(sizeBytes);
  const pairs: Extent[] = [];
  for (let at = 0; at < extents.length; at += 16) {
    pairs.push({ offset: extents.readDoubleLE(at), length: extents.readDoubleLE(at + 8) });
  }
  return { extents: pairs, map };
}

/** Bytes of map and data. */
export function storedBytesOf({ map, extents }: FileContent): number {
  return extents.reduce((sum, { length }) => sum + length, map?.length ?? 0);
}

/** What goes into one frame: extents of `pieceBytes` in all, but for the last piece. */
export function groupsOf(content: FileContent, pieceBytes: number): Extent[][] {
  const groups: Extent[][] = [[]];
  let left = pieceBytes;
  for (const { offset, length } of content.extents) {
    for (let at = 0; at < length; ) {
      if (left === 0) {
        groups.push([]);
        left = pieceBytes;
      }
      const taken = Math.min(left, length - at);
      groups.at(-1)?.push({ offset: offset + at, length: taken });
      at += taken;
      left -= taken;
    }
  }
  return groups;
}

/** The extents in pieces of at most `mostBytes`. */
export function* piecesOf({ extents }: FileContent, mostBytes: number): Generator<Extent, void, void> {
  for (const { offset, length } of extents) {
    for (let at = 0; at < length; at += mostBytes)
      yield { offset: offset + at, length: Math.min(mostBytes, length - at) };
  }
}
