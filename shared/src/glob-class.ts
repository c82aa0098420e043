type Range = readonly [number, number];

/** What stands between brackets, as code points; never a slash, for no name has one. */
export interface GlobClass {
  readonly isNegated: boolean;
  readonly ranges: readonly Range[];
  /** Behind the bracket that closes it. */
  readonly end: number;
}

/** The classes of git, which knows ASCII alone. */
const named: Readonly<Record<string, readonly Range[]>> = {
  alnum: span('09', 'AZ', 'az'),
  alpha: span('AZ', 'az'),
  blank: span('\t\t', '  '),
  cntrl: [
    [0, 0x1f],
    [0x7f, 0x7f],
  ],
  digit: span('09'),
  graph: span('!~'),
  lower: span('az'),
  print: span(' ~'),
  punct: span('!/', ':@', '[`', '{~'),
  space: span('\t\n', '\r\r', '  '),
  upper: span('AZ'),
  xdigit: span('09', 'AF', 'af'),
};

/** The bracket expression that begins at `start`, or in words what is wrong with it. */
export function parseGlobClass(chars: readonly string[], start: number): GlobClass | string {
  const ranges: Range[] = [];
  const isNegated = chars[start + 1] === '!' || chars[start + 1] === '^';
  const first = start + (isNegated ? 2 : 1);
  let previous: string | null = null;
  let at = first;
  for (;;) {
    let char: string | undefined = chars[at];
    if (char === undefined) return unclosed;
    if (char === ']' && at > first) break;
    const name = char === '[' && chars[at + 1] === ':' ? nameAt(chars, at + 2) : null;
    if (name !== null) {
      const known = Object.hasOwn(named, name) ? named[name] : undefined;
      if (known === undefined) return chars.includes(']', at + 2) ? 'names a class that there is not' : unclosed;
      ranges.push(...known);
      previous = null;
      at += name.length + 4;
      continue;
    }
    const isRange: boolean = char === '-' && previous !== null && chars[at + 1] !== ']';
    if (isRange) at += 1;
    if (chars[at] === '\\') at += 1;
    char = chars[at];
    if (char === undefined) return unclosed;
    // The first of a range that runs backwards was there on its own before.
    ranges.push([codeOf(isRange ? (previous ?? char) : char), codeOf(char)]);
    previous = isRange ? null : char;
    at += 1;
  }
  return { isNegated, ranges: ranges.flatMap(withoutSlash), end: at + 1 };
}

const unclosed = 'has a bracket that is not closed';

/** Of `[:name:]`, whose name begins at `start`; null where the bracket is only a bracket. */
function nameAt(chars: readonly string[], start: number): string | null {
  const closing = chars.indexOf(']', start);
  if (closing === -1) return '';
  if (closing === start || chars[closing - 1] !== ':') return null;
  return chars.slice(start, closing - 1).join('');
}

function withoutSlash([first, last]: Range): Range[] {
  const slash = 0x2f;
  const parts: Range[] =
    first <= slash && slash <= last
      ? [
          [first, slash - 1],
          [slash + 1, last],
        ]
      : [[first, last]];
  return parts.filter(([from, to]) => from <= to);
}

function codeOf(char: string): number {
  return char.codePointAt(0) ?? 0;
}

/** From the first to the second letter of each. */
function span(...pairs: string[]): Range[] {
  return pairs.map((pair) => [pair.charCodeAt(0), pair.charCodeAt(1)]);
}
