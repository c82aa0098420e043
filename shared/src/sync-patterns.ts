import { type GlobPattern, parseGlobPattern } from './glob-pattern.ts';
import type { SyncOptions } from './sync-options.ts';

type Patterns = Pick<SyncOptions, 'include' | 'exclude'>;

export interface PatternFault {
  /** `include` or `exclude`, with the index of the pattern. */
  readonly path: string;
  readonly message: string;
}

/**
 * Patterns that match nothing or that rclone cannot follow, first of all those of `exclude`. Not of the schema, so that a job saved
 * with such a pattern still runs: there it matches nothing.
 */
export function syncPatternFaults({ include, exclude }: Patterns): PatternFault[] {
  const faults = [
    ...exclude.map((line, at) => ({
      path: `exclude.${at}`,
      message: faultOf(line, include.length > 0 ? mixed : null),
    })),
    ...include.map((line, at) => ({ path: `include.${at}`, message: faultOf(line, notIncluded) })),
  ].flatMap(({ path, message }) => (message === null ? [] : [{ path, message }]));
  if (faults.length > 0 || include.length === 0 || include.some((line) => parseGlobPattern(line) !== null))
    return faults;
  return [{ path: 'include', message: 'has only comments: nothing would be taken' }];
}

// rclone goes by the first rule that matches a file: it cannot ask for two things of it at once.
const mixed = 'cannot begin with ! beside include (a backslash before it means the letter)';
const notIncluded = 'cannot begin with ! (a backslash before it means the letter): use exclude';

function faultOf(line: string, negated: string | null): string | null {
  const pattern = parseGlobPattern(line);
  if (pattern === null || typeof pattern === 'string') return pattern;
  if (pattern.isNegated && negated !== null) return negated;
  return impossibleName(pattern);
}

function impossibleName({ segments }: GlobPattern): string | null {
  for (const segment of segments) {
    if (segment === 'any depth') continue;
    if (segment.length === 0) return 'has an empty name in it';
    if (
      segment.length <= 2 &&
      segment.every((token) => typeof token === 'object' && 'char' in token && token.char === '.')
    ) {
      return 'is of paths below the root, in which no name is . or ..';
    }
  }
  return null;
}
