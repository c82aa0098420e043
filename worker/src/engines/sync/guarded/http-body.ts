import { type AnswerHead, BadMessage, type Field, type RequestHead, tokensOf, valuesOf } from './http-head.ts';

/** How long a body is. Source: RFC 9112, section 6.3. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until_close' };

type Put = (piece: Buffer | string) => void;

/** A body on its way. */
export interface Body {
  readonly isComplete: boolean;
  /** Whether the end of the connection is its end too. */
  readonly endsWithConnection: boolean;
  /** Puts what belongs to it, and returns what comes after it. Throws BadMessage. */
  take(chunk: Buffer, put: Put): Buffer;
}

const nothing = Buffer.alloc(0);
const maxLineBytes = 8192;
const maxTrailers = 64;

export function framingOfRequest({ fields }: RequestHead): Framing {
  return framingOf(fields) ?? { kind: 'none' };
}

/** What is asked decides as well: an answer to HEAD has the length of what it does not send. */
export function framingOfAnswer({ status, fields }: AnswerHead, method: string): Framing {
  const said = framingOf(fields);
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { kind: 'none' };
  return said ?? { kind: 'until_close' };
}

function framingOf(fields: readonly Field[]): Framing | null {
  const codings = tokensOf(fields, 'transfer-encoding');
  const lengths = new Set(valuesOf(fields, 'content-length'));
  const [length] = lengths;
  if (lengths.size > 1 || (length !== undefined && !/^\d{1,15}$/.test(length))) {
    throw new BadMessage('a length that is none');
  }
  if (codings.length > 0) {
    if (codings.length > 1 || codings[0] !== 'chunked' || length !== undefined) throw new BadMessage('two lengths');
    return { kind: 'chunked' };
  }
  return length === undefined ? null : { kind: 'length', bytes: Number(length) };
}

export function bodyOf(framing: Framing): Body {
  switch (framing.kind) {
    case 'none':
      return new Sized(0);
    case 'length':
      return new Sized(framing.bytes);
    case 'chunked':
      return new Chunked();
    case 'until_close':
      return new Endless();
  }
}

class Sized implements Body {
  readonly endsWithConnection = false;
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get isComplete(): boolean {
    return this.#left === 0;
  }

  take(chunk: Buffer, put: Put): Buffer {
    if (chunk.length < this.#left) {
      this.#left -= chunk.length;
      put(chunk);
      return nothing;
    }
    const rest = chunk.subarray(this.#left);
    if (this.#left > 0) put(chunk.subarray(0, this.#left));
    this.#left = 0;
    return rest;
  }
}

/** All there is until the connection ends. */
class Endless implements Body {
  readonly isComplete = false;
  readonly endsWithConnection = true;

  take(chunk: Buffer, put: Put): Buffer {
    put(chunk);
    return nothing;
  }
}

/** The end of a connection says little, so what has no other end is put into chunks. */
export class Chunking extends Endless {
  override take(chunk: Buffer, put: Put): Buffer {
    put(`${chunk.length.toString(16)}\r\n`);
    super.take(chunk, put);
    put('\r\n');
    return nothing;
  }
}

export const lastChunk = '0\r\n\r\n';

/** Taken apart and put into chunks anew, so that what is sent on is well formed whatever came. */
class Chunked implements Body {
  readonly endsWithConnection = false;
  isComplete = false;
  #state: 'size' | 'data' | 'after_data' | 'trailer' = 'size';
  #left = 0;
  #line = '';
  #trailers = '';
  #trailerCount = 0;

  take(chunk: Buffer, put: Put): Buffer {
    let at = 0;
    while (at < chunk.length && !this.isComplete) {
      if (this.#state === 'data') {
        const part = chunk.subarray(at, at + this.#left);
        put(`${part.length.toString(16)}\r\n`);
        put(part);
        put('\r\n');
        at += part.length;
        this.#left -= part.length;
        if (this.#left === 0) this.#state = 'after_data';
        continue;
      }
      const end = chunk.indexOf(0x0a, at);
      this.#line += chunk.toString('latin1', at, end < 0 ? chunk.length : end + 1);
      if (this.#line.length > maxLineBytes) throw new BadMessage('a line without an end');
      if (end < 0) return nothing;
      at = end + 1;
      const line = this.#line;
      this.#line = '';
      this.#read(line, put);
    }
    return chunk.subarray(at);
  }

  #read(line: string, put: Put): void {
    if (!line.endsWith('\r\n')) throw new BadMessage('a line without an end');
    const text = line.slice(0, -2);
    if (this.#state === 'after_data') {
      if (text !== '') throw new BadMessage('a chunk of another size');
      this.#state = 'size';
    } else if (this.#state === 'size') {
      const digits = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?$/.exec(text)?.[1];
      if (digits === undefined) throw new BadMessage('a size that is none');
      this.#left = Number.parseInt(digits, 16);
      this.#state = this.#left === 0 ? 'trailer' : 'data';
    } else if (text === '') {
      put(`0\r\n${this.#trailers}\r\n`);
      this.isComplete = true;
    } else {
      this.#trailerCount += 1;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
      const isField = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\0-\x08\x0a-\x1f\x7f]*$/.test(text);
      if (!isField || this.#trailerCount > maxTrailers) throw new BadMessage('a trailer that is none');
      this.#trailers += `${text}\r\n`;
    }
  }
}
