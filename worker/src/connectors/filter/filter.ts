import type { EntryFilter, FilterVerdict } from '../connector.ts';
import { matchesPattern, mayMatchBelow, splitPath } from './match.ts';
import { compilePattern, type Pattern } from './pattern.ts';

interface State {
  readonly excluded: boolean;
  readonly included: boolean;
}

/** Directories whose state is kept; lists come in an order in which few are asked for again. */
const keptDirectories = 4096;

/**
 * Patterns as in .gitignore, relative to the root, over raw bytes (`?` is one byte, as in git; matching takes time bounded by
 * the lengths of pattern and path). Exclude patterns are as git has them: what lies below an excluded directory cannot be
 * taken back in. Of the include patterns the one that matches the path, or else the nearest directory above it, decides; one
 * with `!` leaves out again. What is excluded is not included. Every path is judged on its own, in any order.
 */
export function createFilter(patterns: { include: readonly string[]; exclude: readonly string[] }): EntryFilter {
  const include = compileAll(patterns.include);
  const exclude = compileAll(patterns.exclude);
  const takesAll = patterns.include.length === 0;
  const root: State = { excluded: false, included: takesAll };
  const directories = new Map<string, State>();

  function stateOf(path: Buffer, isDirectory: boolean): State {
    const cut = path.lastIndexOf(0x2f);
    const parent = cut === -1 ? root : directoryState(path.subarray(0, cut));
    if (parent.excluded) return parent;
    const names = splitPath(path);
    if (lastMatch(exclude, names, isDirectory) === true) return { excluded: true, included: false };
    return { excluded: false, included: takesAll || (lastMatch(include, names, isDirectory) ?? parent.included) };
  }

  function directoryState(path: Buffer): State {
    const key = path.toString('latin1');
    const known = directories.get(key);
    if (known !== undefined) return known;
    const state = stateOf(path, true);
    if (directories.size >= keptDirectories) directories.clear();
    directories.set(key, state);
    return state;
  }

  function judge(path: Buffer, isDirectory: boolean): FilterVerdict {
    if (path.length === 1 && path[0] === 0x2e) return 'take';
    const { excluded, included } = isDirectory ? directoryState(path) : stateOf(path, false);
    if (excluded) return isDirectory ? 'prune' : 'skip';
    if (included) return 'take';
    if (!isDirectory) return 'skip';
    const names = splitPath(path);
    return include.some((pattern) => !pattern.negated && mayMatchBelow(pattern, names)) ? 'skip' : 'prune';
  }

  return { judge, patterns: { include: [...patterns.include], exclude: [...patterns.exclude] } };
}

function compileAll(lines: readonly string[]): Pattern[] {
  return lines.map(compilePattern).filter((pattern) => pattern !== null);
}

/** What the last pattern that matches says: true without `!`, false with it; undefined where none matches. */
function lastMatch(patterns: readonly Pattern[], names: readonly Buffer[], isDirectory: boolean): boolean | undefined {
  const pattern = patterns.findLast((candidate) => matchesPattern(candidate, names, isDirectory));
  return pattern === undefined ? undefined : !pattern.negated;
}
