import { describe, expect, it } from 'vitest';
import { bodyOf, type Framing, framingOfAnswer, framingOfRequest } from './http-body.ts';
import { BadMessage, parseAnswer, parseRequest } from './http-head.ts';

/** The body and what comes after it, when so many bytes arrive at a time. */
function taken(framing: Framing, text: string, step: number) {
  const body = bodyOf(framing);
  let put = '';
  let rest = '';
  for (let at = 0; at < text.length; at += step) {
    const chunk = Buffer.from(text.slice(at, at + step), 'latin1');
    if (body.isComplete) rest += chunk.toString('latin1');
    else rest += body.take(chunk, (piece) => (put += piece.toString('latin1'))).toString('latin1');
  }
  return { put, rest, isComplete: body.isComplete };
}

/** What chunks hold, read by the book. */
function content(chunked: string): { text: string; trailers: string } {
  let text = '';
  let at = 0;
  for (;;) {
    const end = chunked.indexOf('\r\n', at);
    const size = Number.parseInt(chunked.slice(at, end), 16);
    if (size === 0) return { text, trailers: chunked.slice(end + 2) };
    text += chunked.slice(end + 2, end + 2 + size);
    expect(chunked.slice(end + 2 + size, end + 4 + size)).toBe('\r\n');
    at = end + 4 + size;
  }
}

const answer = (fields: string, status = 200) => parseAnswer(Buffer.from(`HTTP/1.1 ${status} X${fields}`));
const chunked = '\r\nTransfer-Encoding: chunked';

describe('a body', () => {
  it('of a length ends there, however it arrives', () => {
    for (let step = 1; step < 12; step += 1) {
      expect(taken({ kind: 'length', bytes: 5 }, 'helloHTTP/1.1', step)).toEqual({
        put: 'hello',
        rest: 'HTTP/1.1',
        isComplete: true,
      });
    }
    expect(taken({ kind: 'length', bytes: 5 }, 'hell', 2)).toMatchObject({ put: 'hell', isComplete: false });
    expect(bodyOf({ kind: 'none' }).isComplete).toBe(true);
  });

  it('in chunks is put into chunks anew, with its trailers, however it arrives', () => {
    const sent = '3 \r\nabc\r\n00010;name="x"\r\n0123456789abcdef\r\n1\r\n\r\r\n0\r\nX-Sum: 1\r\n\r\nHTTP/1.1';
    for (let step = 1; step <= sent.length; step += 1) {
      const { put, rest, isComplete } = taken({ kind: 'chunked' }, sent, step);
      expect({ rest, isComplete }).toEqual({ rest: 'HTTP/1.1', isComplete: true });
      expect(content(put)).toEqual({ text: 'abc0123456789abcdef\r', trailers: 'X-Sum: 1\r\n\r\n' });
    }
    expect(taken({ kind: 'chunked' }, '3\r\nabc\r\n', 4).isComplete).toBe(false);
  });

  it.each([
    '-1\r\n',
    '0x3\r\nabc\r\n0\r\n\r\n',
    '\r\n',
    'g\r\n',
    '3\nabc\r\n',
    '3\r\nabcd\r\n',
    `${'1'.repeat(13)}\r\n`,
    `3;${'x'.repeat(10_000)}`,
    '0\r\nLocation : x\r\n\r\n',
    '0\r\nno trailer\r\n\r\n',
  ])('in chunks that are none is refused: %j', (sent) => {
    expect(() => taken({ kind: 'chunked' }, sent, 7)).toThrow(BadMessage);
  });

  it('has one length only', () => {
    expect(framingOfAnswer(answer('\r\nContent-Length: 7'), 'GET')).toEqual({ kind: 'length', bytes: 7 });
    expect(framingOfAnswer(answer('\r\nContent-Length: 7\r\nContent-Length: 7'), 'GET')).toMatchObject({ bytes: 7 });
    expect(framingOfAnswer(answer(chunked), 'GET')).toEqual({ kind: 'chunked' });
    expect(framingOfAnswer(answer(''), 'GET')).toEqual({ kind: 'until_close' });
    expect(framingOfRequest(parseRequest(Buffer.from('PUT / HTTP/1.1')))).toEqual({ kind: 'none' });
    for (const bad of [
      `${chunked}\r\nContent-Length: 7`,
      '\r\nTransfer-Encoding: gzip, chunked',
      '\r\nTransfer-Encoding: identity',
      '\r\nContent-Length: 7\r\nContent-Length: 8',
      '\r\nContent-Length: +7',
      '\r\nContent-Length: 7, 7',
      '\r\nContent-Length: 9007199254740993',
    ]) {
      expect(() => framingOfAnswer(answer(bad), 'GET'), bad).toThrow(BadMessage);
    }
  });

  it('is not there where there can be none, whatever the answer says', () => {
    expect(framingOfAnswer(answer('\r\nContent-Length: 7'), 'HEAD')).toEqual({ kind: 'none' });
    expect(framingOfAnswer(answer(chunked, 204), 'GET')).toEqual({ kind: 'none' });
    expect(framingOfAnswer(answer('\r\nContent-Length: 7', 304), 'GET')).toEqual({ kind: 'none' });
  });
});
