/** PostgreSQL's text and jsonb hold neither NUL nor half of a surrogate pair; file names and tools' words may. */
export function toPgText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD');
}

/** JSON text that jsonb accepts: what it cannot hold becomes U+FFFD. */
export function toPgJson(value: unknown): string {
  // JSON.stringify escapes exactly what jsonb refuses; an escaped backslash before "u" is stepped over as a pair.
  return JSON.stringify(value).replace(/\\(?:u(?:0000|d[89a-f][0-9a-f]{2})|.)/g, (match) =>
    /^\\u(?:0000|d)/.test(match) ? '\\ufffd' : match,
  );
}
