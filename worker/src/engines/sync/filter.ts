import { type GlobPattern, parseGlobPattern } from '@xvault/shared/glob-pattern.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';
import { anything, type Expression, oneOf, pathExpression } from './glob-expression.ts';

/**
 * rclone's filter of a job's patterns. It has a list of rules for directories and one for files, goes by the first rule of a list
 * that matches, and does not look into directories that are left out: that is what .gitignore means, with the last pattern first.
 * Patterns go as regular expressions (`{{…}}`), for its own globs differ from git's.
 */
export function rcloneFilter({
  include,
  exclude,
}: Pick<SyncOptions, 'include' | 'exclude'>): Readonly<Record<string, unknown>> {
  const excludes = parseAll(exclude).toReversed();
  const includes = parseAll(include).filter(({ isNegated }) => !isNegated);
  const isNarrowed = include.length > 0;
  const rules = [
    ...runsOf(excludes).flatMap((run) => directoryRules(signOf(run), run.map(pathExpression))),
    ...(isNarrowed ? waysTo(includes) : []),
    // rclone adds a rule that lets in all directories to one that lets in files: those for directories must stand before.
    ...runsOf(excludes.filter(({ directoriesOnly }) => !directoriesOnly)).flatMap((run) =>
      fileRules(signOf(run), run.map(pathExpression)),
    ),
    ...fileRules('+', includes.flatMap(treeExpressions)),
    ...(isNarrowed ? fileRules('-', [[anything]]) : []),
  ];
  return rules.length === 0 ? {} : { FilterRule: rules };
}

function parseAll(lines: readonly string[]): GlobPattern[] {
  return lines.map(parseGlobPattern).filter((pattern) => pattern !== null && typeof pattern === 'object');
}

/** Neighbours of one sign, among which the order does not matter. */
function runsOf(patterns: readonly GlobPattern[]): GlobPattern[][] {
  const runs: GlobPattern[][] = [];
  for (const pattern of patterns) {
    const run = runs.at(-1);
    if (run?.[0]?.isNegated === pattern.isNegated) run.push(pattern);
    else runs.push([pattern]);
  }
  return runs;
}

type Sign = '+' | '-';

function signOf([first]: readonly GlobPattern[]): Sign {
  return first?.isNegated ? '+' : '-';
}

function fileRules(sign: Sign, expressions: readonly Expression[]): string[] {
  return inParts(expressions).map((part) => `${sign} /{{${oneOf(part)}}}`);
}

/** Of directories alone: no file's path ends in a slash. For leaving out, rclone wants to see two stars before it takes it for that. */
function directoryRules(sign: Sign, expressions: readonly Expression[]): string[] {
  return inParts(expressions).map((part) => {
    return sign === '+' ? `+ /{{${oneOf(part)}}}/` : `- /{{[**]{0}${oneOf(part)}/}}`;
  });
}

/** RE2 takes brackets within brackets only so deep, and expressions only so long. */
function inParts(expressions: readonly Expression[]): Expression[][] {
  const size = 200;
  const count = Math.ceil(expressions.length / size);
  return Array.from({ length: count }, (_, at) => expressions.slice(at * size, (at + 1) * size));
}

/** Looking into each directory costs less than a longer list of those to look into. */
const mostPieces = 1_000_000;

/** Directories that are included or in which something included may be, and no others. */
function waysTo(includes: readonly GlobPattern[]): string[] {
  const ways: Expression[] = [];
  let pieces = 0;
  for (const pattern of includes) {
    const depthAt = pattern.segments.indexOf('any depth');
    const known = depthAt === -1 ? pattern.segments : pattern.segments.slice(0, depthAt);
    const path = pathExpression({ ...pattern, segments: known });
    pieces += path.length * known.length;
    if (!pattern.isAnchored || depthAt === 0 || pieces > mostPieces) return [];
    ways.push(...known.map((_, at) => pathExpression({ ...pattern, segments: known.slice(0, at + 1) })));
    ways.push([...path, '/', anything]);
  }
  return [...directoryRules('+', ways), ...directoryRules('-', [[anything]])];
}

/** The included itself, and if it is a directory, all below it. */
function treeExpressions(pattern: GlobPattern): Expression[] {
  const path = pathExpression(pattern);
  const below = [...path, '/', anything];
  return pattern.directoriesOnly ? [below] : [path, below];
}
