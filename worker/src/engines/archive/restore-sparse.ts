import { XVaultError } from '@xvault/shared/errors.ts';
import { tarBlockBytes } from '../../artifact/tar.ts';
import { ByteCursor } from './restore-cursor.ts';
import type { RestoreEntry } from './restore-entries.ts';

/** A map of more pieces than this is no longer worth its holes; no backup writes it. */
const maxPieces = 1_000_000;
const zeros = Buffer.alloc(1024 * 1024);

interface Piece {
  readonly offset: number;
  readonly length: number;
}

/** Entries whose contents come whole, for what knows no holes. */
export async function* withoutHoles(entries: AsyncIterable<RestoreEntry>): AsyncGenerator<RestoreEntry> {
  for await (const entry of entries) yield asWhole(entry);
}

export function asWhole<Entry extends RestoreEntry>(entry: Entry): Entry {
  if (entry.member.sparseBytes === undefined) return entry;
  const { sparseBytes: _, ...member } = entry.member;
  return { ...entry, member };
}

/**
 * What a file of GNU's sparse format 1.0 says: its map is text, its data the pieces between the holes. The zeros of holes come
 * from one buffer that must not be changed. Throws ARTIFACT_CORRUPT for a map that no backup writes.
 */
export async function* expandHoles(stored: AsyncIterable<Buffer>, realBytes: number): AsyncGenerator<Buffer> {
  const cursor = new ByteCursor(stored);
  try {
    let at = 0;
    for (const { offset, length } of await readMap(cursor, realBytes)) {
      yield* hole(offset - at);
      yield* cursor.take(length);
      at = offset + length;
    }
    yield* hole(realBytes - at);
    // Only at its end the content was compared with its checksum.
    await cursor.drain();
  } finally {
    await cursor.close();
  }
}

function* hole(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= zeros.length) yield zeros.subarray(0, left);
}

async function readMap(cursor: ByteCursor, realBytes: number): Promise<Piece[]> {
  const text = new MapText(cursor);
  const count = await text.number();
  if (count > maxPieces) throw corrupt('too many pieces');
  const pieces: Piece[] = [];
  let end = 0;
  for (let at = 0; at < count; at += 1) {
    const offset = await text.number();
    const length = await text.number();
    if (offset < end || offset + length > realBytes) throw corrupt('pieces out of order');
    end = offset + length;
    if (length > 0) pieces.push({ offset, length });
  }
  return pieces;
}

/** Decimal numbers, each on a line; whole blocks are taken, so that the data begins where the map's last block ends. */
class MapText {
  readonly #cursor: ByteCursor;
  #text = '';
  #at = 0;

  constructor(cursor: ByteCursor) {
    this.#cursor = cursor;
  }

  async number(): Promise<number> {
    let end = this.#text.indexOf('\n', this.#at);
    while (end === -1) {
      if (this.#text.length - this.#at > 20) throw corrupt('a number without end');
      this.#text = this.#text.slice(this.#at) + (await this.#cursor.takeWhole(tarBlockBytes)).toString('latin1');
      this.#at = 0;
      end = this.#text.indexOf('\n');
    }
    const digits = this.#text.slice(this.#at, end);
    this.#at = end + 1;
    if (!/^\d{1,16}$/.test(digits) || !Number.isSafeInteger(Number(digits))) throw corrupt('not a number');
    return Number(digits);
  }
}

function corrupt(what: string): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail: `the map of a sparse file: ${what}` });
}
