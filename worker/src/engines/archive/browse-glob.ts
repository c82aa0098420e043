import { XVaultError } from '@xvault/shared/errors.ts';

export interface GlobPattern {
  /** `isDirectory` is asked only when that matters. */
  matches(path: string, isDirectory: () => boolean): boolean;
}

/**
 * A pattern as in .gitignore, by which an entry itself is meant: `*.log` at any depth, `/etc/*.conf` and `a/b` from the
 * root, `**` over any number of directories, `cache/` directories only. Matching takes time linear in the path for all
 * but several `*` in one name. Throws BAD_REQUEST for what is no pattern.
 */
export function globPattern(glob: string): GlobPattern {
  const directoriesOnly = glob.endsWith('/');
  const body = directoriesOnly ? glob.slice(0, -1) : glob;
  const anchored = body.includes('/');
  const parts = body.replace(/^\//, '').split('/');
  const wanted = anchored || parts[0] === '**' ? parts : ['**', ...parts];
  if (wanted.some((part) => part === '')) throw badGlob();
  const tests = wanted.map((part) => (part === '**' ? null : nameTest(part)));
  const [first, last] = tests;
  // The commonest kind, a name at any depth, needs no more than the last name.
  const isName = tests.length === 2 && first === null && last != null;
  const fits = (path: string) =>
    isName ? last(path.slice(path.lastIndexOf('/') + 1)) : matchParts(tests, path.split('/'));
  return { matches: (path, isDirectory) => fits(path) && (!directoriesOnly || isDirectory()) };
}

type NameTest = (name: string) => boolean;

/** null stands for any number of names; only the last such is ever gone back to, so that no pattern takes exponential time. */
function matchParts(tests: readonly (NameTest | null)[], names: readonly string[]): boolean {
  return matchSequence(tests.length, names.length, {
    isAny: (at) => tests[at] === null,
    fits: (at, name) => tests[at]?.(names[name] ?? '') === true,
    // A trailing `**` means what is below, not the directory itself.
    anyNeedsOne: (at) => at === tests.length - 1,
  });
}

type CharTest = (char: string) => boolean;

function nameTest(part: string): NameTest {
  const tests = charTests(part);
  const firstOther = tests.findIndex((test) => typeof test !== 'string');
  const lastOther = tests.findLastIndex((test) => typeof test !== 'string');
  if (firstOther < 0) return (name) => name === tests.join('');
  const [prefix, suffix] = [tests.slice(0, firstOther).join(''), tests.slice(lastOther + 1).join('')];
  return (name) => {
    // Nearly every name fails here, at little cost.
    if (!name.startsWith(prefix) || !name.endsWith(suffix)) return false;
    const chars = [...name];
    return matchSequence(tests.length, chars.length, {
      isAny: (at) => tests[at] === null,
      fits: (at, char) => {
        const test = tests[at];
        return typeof test === 'string' ? test === chars[char] : test?.(chars[char] ?? '') === true;
      },
      anyNeedsOne: () => false,
    });
  };
}

interface Sequence {
  isAny(at: number): boolean;
  fits(at: number, value: number): boolean;
  anyNeedsOne(at: number): boolean;
}

/** The usual matching of wildcards: on a misfit the last "any" takes one value more. */
function matchSequence(patternLength: number, length: number, { isAny, fits, anyNeedsOne }: Sequence): boolean {
  let [at, value] = [0, 0];
  let [lastAny, takenTo] = [-1, 0];
  while (value < length || at < patternLength) {
    if (at < patternLength && isAny(at)) {
      if (anyNeedsOne(at)) return value < length;
      [lastAny, takenTo] = [at, value];
      at += 1;
    } else if (at < patternLength && value < length && fits(at, value)) {
      at += 1;
      value += 1;
    } else if (lastAny >= 0 && takenTo < length) {
      takenTo += 1;
      [at, value] = [lastAny + 1, takenTo];
    } else return false;
  }
  return true;
}

/** A character itself, a test of one, or null for any number of them. */
function charTests(part: string): (string | CharTest | null)[] {
  const chars = [...part];
  const tests: (string | CharTest | null)[] = [];
  for (let at = 0; at < chars.length; at += 1) {
    const char = chars[at] ?? '';
    if (char === '*') {
      if (tests.at(-1) !== null || tests.length === 0) tests.push(null);
    } else if (char === '?') tests.push(() => true);
    else if (char === '[') {
      const close = chars.indexOf(']', at + (/[!^]/.test(chars[at + 1] ?? '') ? 3 : 2));
      if (close < 0) throw badGlob();
      tests.push(classTest(chars.slice(at + 1, close)));
      at = close;
    } else if (char === '\\') {
      at += 1;
      const next = chars[at];
      if (next === undefined) throw badGlob();
      tests.push(next);
    } else tests.push(char);
  }
  return tests;
}

/** What stands between the brackets: characters and ranges, all of it turned round by `!` or `^`. */
function classTest(chars: readonly string[]): CharTest {
  const negated = chars[0] === '!' || chars[0] === '^';
  const members = negated ? chars.slice(1) : chars;
  const ranges: [string, string][] = [];
  for (let at = 0; at < members.length; at += 1) {
    const first = members[at] ?? '';
    const last = members[at + 1] === '-' && at + 2 < members.length ? members[at + 2] : undefined;
    ranges.push([first, last ?? first]);
    if (last !== undefined) at += 2;
  }
  return (char) => ranges.some(([first, last]) => char >= first && char <= last) !== negated;
}

function badGlob(): XVaultError {
  return new XVaultError('BAD_REQUEST', { detail: 'not a pattern', params: { field: 'glob' } });
}
