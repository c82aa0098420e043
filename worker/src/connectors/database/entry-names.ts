import { createHash } from 'node:crypto';

/** Where all databases of a snapshot are. */
export const databasesFolder = 'databases';
/** What tells of a database, beside its dump. */
export const descriptionFile = 'database.json';

/** Small enough to be held in memory a few times, large enough that a database of 8 TB has fewer than a million. */
export const partBytes = 8 * 1024 * 1024;

const longestName = 180;
const hashLength = 16;

/**
 * The name of a database's directory: letters, digits, `_`, `-` and inner dots as they are, every other byte of its UTF-8 as
 * `%HH`; what would be longer than file systems take is cut and ends with `~` and a part of its SHA-256.
 */
export function directoryName(database: string): string {
  const escaped = [...Buffer.from(database)].map((byte, at) => escapeByte(byte, at === 0)).join('');
  if (escaped.length <= longestName) return escaped;
  const hash = createHash('sha256').update(database).digest('hex').slice(0, hashLength);
  return `${escaped.slice(0, longestName - hashLength - 1)}~${hash}`;
}

/** `dump.sql.000001`: the shell's `*` gives them in order. */
export function partName(fileName: string, number: number): string {
  return `${fileName}.${String(number).padStart(6, '0')}`;
}

function escapeByte(byte: number, first: boolean): string {
  const character = String.fromCharCode(byte);
  const plain = first ? /[A-Za-z0-9_]/ : /[A-Za-z0-9_.-]/;
  return plain.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}
