import { describe, expect, it } from 'vitest';
import { BadMessage, endToEnd, parseAnswer, parseRequest, renderHead, tokensOf, valuesOf } from './http-head.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('a head', () => {
  it('is read and written as it was', () => {
    const text = 'PROPFIND http://h/a%20b/%2e%2e/?x=1 HTTP/1.1\r\nHost: h\r\nX-Name:  \xe9 \t\r\nX-Name: b';
    const { method, target, fields } = parseRequest(bytes(text));
    expect([method, target]).toEqual(['PROPFIND', 'http://h/a%20b/%2e%2e/?x=1']);
    expect(valuesOf(fields, 'x-name')).toEqual(['\xe9', 'b']);
    expect(renderHead('PUT / HTTP/1.1', fields)).toBe('PUT / HTTP/1.1\r\nHost: h\r\nX-Name: \xe9\r\nX-Name: b\r\n\r\n');
  });

  it('keeps bytes that are blanks in other places, as the end of a word in UTF-8 may be', () => {
    const value = Buffer.from('voilà').toString('latin1');
    const { fields } = parseRequest(bytes(`PUT / HTTP/1.1\r\nX-Name: \t${value} \t\r\nX-Other: \xa0\r\nX-None:  `));
    expect(fields).toEqual([
      ['X-Name', value],
      ['X-Other', '\xa0'],
      ['X-None', ''],
    ]);
  });

  it('loses what is of one connection alone, also what it names itself', () => {
    const head = 'HTTP/1.1 200 OK\r\nConnection: Keep-Alive, X-Own\r\nX-Own: 1\r\nKeep-Alive: 5\r\nETag: "x"';
    const { fields, keepsOpen } = parseAnswer(bytes(head));
    expect(endToEnd(fields)).toEqual([['ETag', '"x"']]);
    expect(tokensOf(fields, 'connection')).toEqual(['keep-alive', 'x-own']);
    expect(keepsOpen).toBe(true);
    expect(parseAnswer(bytes('HTTP/1.0 200 OK')).keepsOpen).toBe(false);
    expect(parseAnswer(bytes('HTTP/1.1 200\r\nConnection: Close')).keepsOpen).toBe(false);
  });

  it.each([
    ['HTTP/2 200 OK'],
    ['HTTP/1.1 20 OK'],
    ['HTTP/1.1 0302 Found'],
    ['HTTP/1.1  302 Found'],
    ['HTTP/1.1 302 Found\nLocation: http://127.0.0.1/'],
    ['HTTP/1.1 302 Found\r\nLocation : http://127.0.0.1/'],
    ['HTTP/1.1 302 Found\r\n Location: http://127.0.0.1/'],
    ['HTTP/1.1 302 Found\r\nX: a\r\n\tb'],
    ['HTTP/1.1 302 Found\r\nX: a\rLocation: http://127.0.0.1/'],
    ['HTTP/1.1 302 Found\r\nX: a\nLocation: http://127.0.0.1/'],
    ['HTTP/1.1 302 Found\r\nX: a\0'],
    ['HTTP/1.1 302 Found\r\nnothing'],
    [''],
  ])('that another could read otherwise is refused: %j', (text) => {
    expect(() => parseAnswer(bytes(text))).toThrow(BadMessage);
  });

  it.each([
    ['GET / HTTP/1.0'],
    ['GET /a b HTTP/1.1'],
    ['GET\t/ HTTP/1.1'],
    ['G(T / HTTP/1.1'],
    ['GET / HTTP/1.1\r\n: x'],
  ])('of a request likewise: %j', (text) => {
    expect(() => parseRequest(bytes(text))).toThrow(BadMessage);
  });
});
