/** What cannot be read in one way only is refused, so that who reads it next cannot read it in another. */
export class BadMessage extends Error {
  override readonly name = 'BadMessage';
}

/** Name and value as they were sent, a byte for each character. */
export type Field = readonly [name: string, value: string];

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly Field[];
}

export interface AnswerHead {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Field[];
  /** Whether more may be asked on the same connection. */
  readonly keepsOpen: boolean;
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const control = /[\0-\x08\x0a-\x1f\x7f]/;

/** Of one connection alone, and so made anew for the next. Source: RFC 9110, section 7.6.1. */
const ofConnection = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** Throws BadMessage. `head` is without the empty line at its end. */
export function parseRequest(head: Buffer): RequestHead {
  const [first = '', ...lines] = head.toString('latin1').split('\r\n');
  const [, method, target] = /^(\S+) (\S+) HTTP\/1\.1$/.exec(first) ?? [];
  if (method === undefined || target === undefined || !token.test(method) || control.test(target)) {
    throw new BadMessage('not a request of HTTP/1.1');
  }
  return { method, target, fields: lines.map(parseField) };
}

/** Throws BadMessage. */
export function parseAnswer(head: Buffer): AnswerHead {
  const [first = '', ...lines] = head.toString('latin1').split('\r\n');
  const [, minor, status, reason = ''] = /^HTTP\/1\.([01]) (\d{3})(?: (.*))?$/.exec(first) ?? [];
  if (status === undefined || control.test(reason)) throw new BadMessage('not an answer of HTTP/1.1');
  const fields = lines.map(parseField);
  const keepsOpen = minor === '1' && !tokensOf(fields, 'connection').includes('close');
  return { status: Number(status), reason, fields, keepsOpen };
}

function parseField(line: string): Field {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(0, colon));
  const value = withoutBlanks(line, colon + 1);
  if (!token.test(name) || control.test(value)) throw new BadMessage('a header that is none');
  return [name, value];
}

/** Spaces and tabs alone: other bytes that stand for blanks elsewhere are a part of the value here. */
function withoutBlanks(line: string, from: number): string {
  let [start, end] = [from, line.length];
  while (start < end && isBlank(line.charCodeAt(start))) start += 1;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end -= 1;
  return line.slice(start, end);
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}

/** All values of a field, whose name is given in small letters. */
export function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.flatMap(([each, value]) => (each.length === name.length && each.toLowerCase() === name ? [value] : []));
}

/** The words of a list, in small letters. */
export function tokensOf(fields: readonly Field[], name: string): string[] {
  return valuesOf(fields, name).flatMap((value) =>
    value
      .split(',')
      .map((word) => withoutBlanks(word, 0).toLowerCase())
      .filter((word) => word !== ''),
  );
}

/** Without what is meant for one connection alone. */
export function endToEnd(fields: readonly Field[]): Field[] {
  const named = new Set(tokensOf(fields, 'connection'));
  return fields.filter(([name]) => {
    const small = name.toLowerCase();
    return !ofConnection.has(small) && !named.has(small);
  });
}

/** To be written as `latin1`. */
export function renderHead(first: string, fields: readonly Field[]): string {
  let text = `${first}\r\n`;
  for (const [name, value] of fields) text += `${name}: ${value}\r\n`;
  return `${text}\r\n`;
}
