/** What matters of PHP for reading a configuration; comments and white space are gone. */
export type PhpToken =
  /** A string whose value is known. */
  | { readonly kind: 'text'; readonly value: string }
  /** A string with variables in it, or a heredoc: its value is not known here. */
  | { readonly kind: 'opaque' }
  | { readonly kind: 'number'; readonly value: string }
  /** Names, keywords, names of constants and functions. */
  | { readonly kind: 'word'; readonly value: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'sign'; readonly value: string };

const opening = /<\?php(?=\s|$)|<\?=/gi;
const blank = /(?:\s+|\/\/(?:(?!\?>)[^\n])*|#(?!\[)(?:(?!\?>)[^\n])*|\/\*[\s\S]*?\*\/)+/y;
const singleQuoted = /'((?:[^'\\]|\\[\s\S])*)'/y;
const doubleQuoted = /"((?:[^"\\]|\\[\s\S])*)"/y;
const heredoc = /<<<[ \t]*(["']?)([A-Za-z_]\w*)\1\r?\n[\s\S]*?\n[ \t]*\2\b/y;
const number = /\d[\w.]*/y;
const word = /\\?[A-Za-z_\x80-\uffff][\w\x80-\uffff\\]*/y;
const variable = /\$([A-Za-z_]\w*)/y;

/** Takes PHP apart. What stands outside of `<?php … ?>` is left out. Never throws: what it does not know is a sign. */
export function phpTokens(source: string): PhpToken[] {
  const tokens: PhpToken[] = [];
  let at = skipHtml(source, 0);
  while (at < source.length) {
    const token = tokenAt(source, at);
    at += token.length;
    if (token.token !== undefined) tokens.push(token.token);
    if (token.closes === true) {
      tokens.push({ kind: 'sign', value: ';' });
      at = skipHtml(source, at);
    }
  }
  return tokens;
}

interface Found {
  readonly length: number;
  readonly token?: PhpToken;
  readonly closes?: boolean;
}

function tokenAt(source: string, at: number): Found {
  const matched = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(source);
  };
  let found = matched(blank);
  if (found !== null) return { length: found[0].length };
  if (source.startsWith('?>', at)) return { length: 2, closes: true };
  found = matched(singleQuoted);
  if (found !== null) {
    return { length: found[0].length, token: { kind: 'text', value: (found[1] ?? '').replace(/\\([\\'])/g, '$1') } };
  }
  found = matched(doubleQuoted);
  if (found !== null) return { length: found[0].length, token: interpolated(found[1] ?? '') };
  found = matched(heredoc);
  if (found !== null) return { length: found[0].length, token: { kind: 'opaque' } };
  found = matched(variable);
  if (found !== null) return { length: found[0].length, token: { kind: 'variable', name: found[1] ?? '' } };
  found = matched(number);
  if (found !== null) return { length: found[0].length, token: { kind: 'number', value: found[0] } };
  found = matched(word);
  if (found !== null) return { length: found[0].length, token: { kind: 'word', value: found[0].replace(/^\\/, '') } };
  return { length: 1, token: { kind: 'sign', value: source.charAt(at) } };
}

function skipHtml(source: string, from: number): number {
  opening.lastIndex = from;
  const found = opening.exec(source);
  return found === null ? source.length : found.index + found[0].length;
}

const simpleEscapes: Record<string, string> = {
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  e: '\x1b',
  f: '\f',
  '\\': '\\',
  $: '$',
  '"': '"',
};

function interpolated(body: string): PhpToken {
  if (/(?<!\\)(?:\\\\)*(?:\$[A-Za-z_{]|\{\$)/.test(body)) return { kind: 'opaque' };
  const pattern = /\\(?:([nrtvef\\$"])|x([0-9A-Fa-f]{1,2})|u\{([0-9A-Fa-f]+)\}|([0-7]{1,3}))/g;
  const value = body.replace(pattern, (_all, simple?: string, hex?: string, point?: string, octal?: string) => {
    if (simple !== undefined) return simpleEscapes[simple] ?? simple;
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (point !== undefined) return String.fromCodePoint(Math.min(Number.parseInt(point, 16), 0x10ffff));
    return String.fromCharCode(Number.parseInt(octal ?? '0', 8) & 0xff);
  });
  return { kind: 'text', value };
}
