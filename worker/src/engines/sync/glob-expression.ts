import type { GlobPattern, GlobToken } from '@xvault/shared/glob-pattern.ts';
import { toStandardName } from './standard-names.ts';

/** A regular expression as RE2 reads it, of paths in rclone's form, piece by piece. */
export type Expression = readonly string[];

// A plain dot does not match line ends.
export const anything = '(?s:.+)';
const anyParents = `(?:${anything}/)?`;

/** Matches the paths that the pattern names. */
export function pathExpression({ isAnchored, segments }: GlobPattern): Expression {
  const last = segments.length - 1;
  const pieces = segments.flatMap((segment, at) => {
    if (segment !== 'any depth') return [...segment.map(tokenExpression), ...(at === last ? [] : ['/'])];
    if (!isAnchored) return [tokenExpression('star')];
    return at === last ? [anything] : [anyParents];
  });
  return isAnchored ? pieces : [anyParents, ...pieces];
}

/**
 * Matches what any of them matches. What they begin with in common stands once: to try a thousand one by one would take rclone
 * milliseconds for each path. Brackets stand within brackets less often than there are expressions.
 */
export function oneOf(expressions: readonly Expression[], from = 0): string {
  const [first = []] = expressions;
  if (expressions.length <= 1) return first.slice(from).join('');
  let at = from;
  while (at < first.length && expressions.every((each) => each[at] === first[at])) at += 1;
  const common = first.slice(from, at).join('');
  const branches = [...Map.groupBy(expressions, (each) => each[at])];
  const ends = branches.map(([piece, group]) => (piece === undefined ? '' : oneOf(group, at)));
  return ends.length === 1 ? common : `${common}(?:${ends.join('|')})`;
}

function tokenExpression(token: GlobToken): string {
  if (token === 'star') return '[^/]*';
  if (token === 'any') return '[^/]';
  if ('char' in token) return [...toStandardName(token.char)].map(escaped).join('');
  const ranges = token.ranges.flatMap(asStandard).map((ends) => ends.map(charOf).map(escaped).join('-'));
  if (token.isNegated) return `[^/${ranges.join('')}]`;
  return ranges.length === 0 ? '[^\\x00-\\x{10FFFF}]' : `[${ranges.join('')}]`;
}

/** Control characters of the range in rclone's form too. */
function asStandard([first, last]: readonly [number, number]): (readonly [number, number])[] {
  const pictures = 0x2400;
  return [
    [first, last] as const,
    ...(first < 0x20 ? [[pictures + first, pictures + Math.min(last, 0x1f)] as const] : []),
    ...(first <= 0x7f && last >= 0x7f ? [[pictures + 0x21, pictures + 0x21] as const] : []),
  ];
}

function charOf(code: number): string {
  return String.fromCodePoint(code);
}

/** No letter that means something to rclone's globs or to a regular expression stays as it is. */
function escaped(char: string): string {
  if (char > '\u{7f}' || /[0-9A-Za-z]/.test(char)) return char;
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
