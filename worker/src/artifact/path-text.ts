import { isUtf8 } from 'node:buffer';

/**
 * A path as text: UTF-8 where it is UTF-8, each foreign byte as `\xHH`, a backslash as `\\`. Every name has exactly
 * one text form, and {@link textToPath} gives the bytes back.
 */
export function pathToText(path: Buffer): string {
  if (isUtf8(path)) return path.toString('utf8').replaceAll('\\', '\\\\');
  let text = '';
  let at = 0;
  while (at < path.length) {
    const length = utf8LengthAt(path, at);
    if (length === 0) {
      text += `\\x${(path[at] ?? 0).toString(16).padStart(2, '0')}`;
      at += 1;
    } else {
      text += path.toString('utf8', at, at + length).replaceAll('\\', '\\\\');
      at += length;
    }
  }
  return text;
}

/** The bytes of a text form; undefined where the text is not the form of any path. */
export function textToPath(text: string): Buffer | undefined {
  const pieces: Buffer[] = [];
  for (const piece of text.split(/(\\\\|\\x[0-9a-f]{2})/)) {
    if (piece === '\\\\') pieces.push(Buffer.from('\\'));
    else if (piece.startsWith('\\x') && piece.length === 4) pieces.push(Buffer.from(piece.slice(2), 'hex'));
    else if (piece.includes('\\')) return undefined;
    else pieces.push(Buffer.from(piece, 'utf8'));
  }
  const path = Buffer.concat(pieces);
  return pathToText(path) === text ? path : undefined;
}

/** Bytes of the well-formed character at an offset, 0 where there is none. */
function utf8LengthAt(bytes: Buffer, offset: number): number {
  for (let length = 1; length <= 4 && offset + length <= bytes.length; length += 1) {
    if (isUtf8(bytes.subarray(offset, offset + length))) return length;
  }
  return 0;
}
