import { XVaultError } from '@xvault/shared/errors.ts';

const maxLineBytes = 64 * 1024;
const maxReplyBytes = 1024 * 1024;

/** Cuts what comes over a control connection into lines, one character to a byte. */
export class LineCutter {
  #rest = '';

  /** Throws SOURCE_PROTOCOL for a line without an end. */
  push(text: string): string[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    if ([this.#rest, ...lines].some(({ length }) => length > maxLineBytes)) throw tooLong();
    return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  }

  /** What has no end yet. */
  get rest(): string {
    return this.#rest;
  }
}

/** One answer of a server. Source: RFC 959, section 4.2. */
export interface FtpReply {
  readonly code: number;
  /** As they came, with the code in the first and the last one. */
  readonly lines: readonly string[];
}

export class ReplyReader {
  #lines: string[] = [];
  #bytes = 0;

  /** A whole reply when this line is its last. Throws SOURCE_PROTOCOL for one without an end. */
  push(line: string): FtpReply | undefined {
    const [first] = this.#lines;
    if (first === undefined && !/^[1-5]\d\d(?:[ -]|$)/.test(line)) return undefined;
    this.#lines.push(line);
    this.#bytes += line.length;
    if (this.#bytes > maxReplyBytes) throw tooLong();
    const code = (first ?? line).slice(0, 3);
    if (line !== code && !line.startsWith(`${code} `)) return undefined;
    const lines = this.#lines;
    this.#lines = [];
    this.#bytes = 0;
    return { code: Number(code), lines };
  }

  /** Whether a reply has begun. */
  get isOpen(): boolean {
    return this.#lines.length > 0;
  }
}

/** Written so that every client sees its end where this reader does. */
export function replyText({ code, lines }: FtpReply): string {
  const last = lines.at(-1) ?? '';
  const closed = last === String(code) ? `${last} ` : last;
  return [...lines.slice(0, -1), closed].map((line) => `${line}\r\n`).join('');
}

function tooLong(): XVaultError {
  return new XVaultError('SOURCE_PROTOCOL', { detail: 'a line or a reply without an end' });
}
