import { type GlobClass, parseGlobClass } from './glob-class.ts';

/** A character, any one, any run of them, or one of a class. */
export type GlobToken = { readonly char: string } | 'any' | 'star' | GlobClass;

/** One line as in .gitignore, of characters. */
export interface GlobPattern {
  /** `!`: takes back what an earlier line matched. */
  readonly isNegated: boolean;
  readonly directoriesOnly: boolean;
  /** With a slash in it a pattern is of whole paths from the root; without one, of names at any depth. */
  readonly isAnchored: boolean;
  /** What stands between its slashes; `any depth` is any number of directories. */
  readonly segments: readonly (readonly GlobToken[] | 'any depth')[];
}

/** The pattern, null for a line that is blank or a comment, or in words what is wrong: git takes such a line to match nothing. */
export function parseGlobPattern(line: string): GlobPattern | string | null {
  let chars = [...trimSpaces(line)];
  if (chars.length === 0 || chars[0] === '#') return null;
  const isNegated = chars[0] === '!';
  if (isNegated) chars = chars.slice(1);
  const directoriesOnly = chars.at(-1) === '/';
  if (directoriesOnly) chars = chars.slice(0, -1);
  if (chars.length === 0) return 'names nothing';
  const isAnchored = chars.includes('/');
  const segments = parseSegments(chars[0] === '/' ? chars.slice(1) : chars);
  return typeof segments === 'string' ? segments : { isNegated, directoriesOnly, isAnchored, segments };
}

function parseSegments(chars: readonly string[]): GlobPattern['segments'] | string {
  const segments: (readonly GlobToken[] | 'any depth')[] = [];
  let tokens: GlobToken[] = [];
  let begin = 0;
  const finish = (end: number) => {
    const isDepth = end - begin >= 2 && chars.slice(begin, end).every((char) => char === '*');
    segments.push(isDepth ? 'any depth' : tokens);
    tokens = [];
    begin = end + 1;
  };
  let at = 0;
  while (at < chars.length) {
    // An escaped slash still ends a segment.
    if (chars[at] === '\\' && chars[at + 1] === '/') at += 1;
    const char = chars[at] ?? '';
    if (char === '/') finish(at);
    else if (char === '*') {
      if (tokens.at(-1) !== 'star') tokens.push('star');
    } else if (char === '?') tokens.push('any');
    else if (char === '[') {
      const parsed = parseGlobClass(chars, at);
      if (typeof parsed === 'string') return parsed;
      tokens.push(parsed);
      at = parsed.end - 1;
    } else {
      if (char === '\\') at += 1;
      const literal = chars[at];
      if (literal === undefined) return 'ends in a backslash';
      tokens.push({ char: literal });
    }
    at += 1;
  }
  finish(chars.length);
  return segments;
}

/** Spaces at the end do not count unless a backslash stands before them. */
function trimSpaces(line: string): string {
  let end = line.length;
  while (line[end - 1] === ' ') {
    const escapes = /\\*$/.exec(line.slice(0, end - 1))?.[0].length ?? 0;
    if (escapes % 2 === 1) break;
    end -= 1;
  }
  return line.slice(0, end);
}
