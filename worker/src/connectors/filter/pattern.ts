import { parseByteClass } from './byte-class.ts';
import type { Segment, Token } from './segment.ts';

/** One line of a .gitignore, compiled. */
export interface Pattern {
  /** `!`: takes back what an earlier line matched. */
  readonly negated: boolean;
  readonly directoriesOnly: boolean;
  /** With a slash in it a pattern is of whole paths from the root; without one, of names at any depth. */
  readonly anchored: boolean;
  readonly segments: readonly (Segment | 'any depth')[];
}

const [slash, star, question, open, backslash] = [0x2f, 0x2a, 0x3f, 0x5b, 0x5c];

/** Null for lines that match nothing: empty ones, comments, and what git gives up on. */
export function compilePattern(line: string): Pattern | null {
  let text = trimSpaces(Buffer.from(line.replace(/\r$/, '')));
  if (text.length === 0 || text[0] === 0x23) return null;
  const negated = text[0] === 0x21;
  if (negated) text = text.subarray(1);
  const directoriesOnly = text[text.length - 1] === slash;
  if (directoriesOnly) text = text.subarray(0, -1);
  if (text.length === 0) return null;
  const anchored = text.includes(slash);
  if (text[0] === slash) text = text.subarray(1);
  const segments = parseSegments(text);
  return segments === null ? null : { negated, directoriesOnly, anchored, segments };
}

function parseSegments(text: Buffer): Pattern['segments'] | null {
  const segments: (Segment | 'any depth')[] = [];
  let tokens: Token[] = [];
  let begin = 0;
  const finish = (end: number) => {
    const isDepth = end - begin >= 2 && text.subarray(begin, end).every((byte) => byte === star);
    segments.push(isDepth ? 'any depth' : tokens);
    tokens = [];
  };
  let at = 0;
  while (at < text.length) {
    const byte = text[at] ?? 0;
    if (byte === slash) {
      finish(at);
      begin = at + 1;
      at += 1;
    } else if (byte === star) {
      if (tokens.at(-1) !== 'star') tokens.push('star');
      at += 1;
    } else if (byte === question) {
      tokens.push('any');
      at += 1;
    } else if (byte === open) {
      const parsed = parseByteClass(text, at);
      if (parsed === null) return null;
      tokens.push(parsed.flags);
      at = parsed.end;
    } else {
      // An escaped slash still ends a segment.
      const escaped = byte === backslash ? text[at + 1] : byte;
      if (escaped === undefined) return null;
      if (byte === backslash && escaped === slash) {
        at += 1;
        continue;
      }
      tokens.push(escaped);
      at += byte === backslash ? 2 : 1;
    }
  }
  finish(text.length);
  return segments;
}

/** Spaces at the end do not count unless a backslash stands before them. */
function trimSpaces(text: Buffer): Buffer {
  let end = text.length;
  while (text[end - 1] === 0x20) {
    let slashes = 0;
    while (text[end - 2 - slashes] === backslash) slashes += 1;
    if (slashes % 2 === 1) break;
    end -= 1;
  }
  return text.subarray(0, end);
}
