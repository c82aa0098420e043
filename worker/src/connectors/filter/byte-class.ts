const code = (text: string) => text.charCodeAt(0);

/** The classes of git, which knows ASCII alone. */
const named: Record<string, (byte: number) => boolean> = {
  alnum: (byte) => isAlpha(byte) || isDigit(byte),
  alpha: (byte) => isAlpha(byte),
  blank: (byte) => byte === 0x20 || byte === 0x09,
  cntrl: (byte) => byte < 0x20 || byte === 0x7f,
  digit: (byte) => isDigit(byte),
  graph: (byte) => byte > 0x20 && byte < 0x7f,
  lower: (byte) => byte >= 0x61 && byte <= 0x7a,
  print: (byte) => byte >= 0x20 && byte < 0x7f,
  punct: (byte) => byte > 0x20 && byte < 0x7f && !isAlpha(byte) && !isDigit(byte),
  space: (byte) => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d,
  upper: (byte) => byte >= 0x41 && byte <= 0x5a,
  xdigit: (byte) => isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66),
};
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
const isAlpha = (byte: number) => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);

const [open, close, backslash, dash, colon] = ['[', ']', '\\', '-', ':'].map(code) as [
  number,
  number,
  number,
  number,
  number,
];

/** A bracket expression that begins at `start`: its 256 flags and where it ends, or null when it is never closed. */
export function parseByteClass(pattern: Buffer, start: number): { flags: Uint8Array; end: number } | null {
  const flags = new Uint8Array(256);
  let at = start + 1;
  const negated = pattern[at] === code('!') || pattern[at] === code('^');
  if (negated) at += 1;
  let previous = -1;
  let first = true;
  for (;;) {
    let byte = pattern[at];
    if (byte === undefined) return null;
    if (byte === close && !first) break;
    first = false;
    if (byte === open && pattern[at + 1] === colon) {
      const found = parseNamed(pattern, at + 2);
      if (found === null) return null;
      if (found !== 'literal') {
        for (let value = 0; value < 256; value += 1) if (found.matches(value)) flags[value] = 1;
        previous = -1;
        at = found.end;
        continue;
      }
    }
    if (byte === dash && previous >= 0 && pattern[at + 1] !== undefined && pattern[at + 1] !== close) {
      at += 1;
      if (pattern[at] === backslash) at += 1;
      const last = pattern[at];
      if (last === undefined) return null;
      for (let value = previous; value <= last; value += 1) flags[value] = 1;
      previous = -1;
      at += 1;
      continue;
    }
    if (byte === backslash) {
      at += 1;
      byte = pattern[at];
      if (byte === undefined) return null;
    }
    flags[byte] = 1;
    previous = byte;
    at += 1;
  }
  if (negated) for (let value = 0; value < 256; value += 1) flags[value] = flags[value] === 1 ? 0 : 1;
  return { flags, end: at + 1 };
}

/** `[:name:]` whose name begins at `start`; `literal` where the bracket is only a bracket; null where nothing can match. */
function parseNamed(pattern: Buffer, start: number) {
  const closing = pattern.indexOf(close, start);
  if (closing === -1) return null;
  if (closing === start || pattern[closing - 1] !== colon) return 'literal' as const;
  const name = pattern.toString('latin1', start, closing - 1);
  const matches = Object.hasOwn(named, name) ? named[name] : undefined;
  return matches === undefined ? null : { matches, end: closing + 1 };
}
