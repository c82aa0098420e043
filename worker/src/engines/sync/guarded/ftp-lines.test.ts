import { describe, expect, it } from 'vitest';
import { type FtpReply, LineCutter, ReplyReader, replyText } from './ftp-lines.ts';

function repliesOf(chunks: readonly string[]): FtpReply[] {
  const cutter = new LineCutter();
  const reader = new ReplyReader();
  return chunks.flatMap((chunk) => cutter.push(chunk)).flatMap((line) => reader.push(line) ?? []);
}

const spoken = [
  '220 Ready\r\n',
  '211-Features:\r\n EPSV\r\n211 is a number\r\n',
  '250-a\r\n 250 b\r\n226 c\r\n250-d\r\n250 e\r\n',
  '200\r\n',
  '257 "/\xc3\xbcber \xfc" is here\n',
].join('');

describe('what a server says', () => {
  it('is the same in whatever pieces it comes', () => {
    const whole = repliesOf([spoken]);
    expect(whole.map(({ code, lines }) => [code, lines.length])).toEqual([
      [220, 1],
      [211, 3],
      [250, 5],
      [200, 1],
      [257, 1],
    ]);
    for (let size = 1; size < spoken.length; size += 1) {
      const chunks = Array.from({ length: Math.ceil(spoken.length / size) }, (_, at) =>
        spoken.slice(at * size, (at + 1) * size),
      );
      expect(repliesOf(chunks)).toEqual(whole);
    }
  });

  it('keeps its bytes when it is passed on, and has an end for every client', () => {
    const passed = repliesOf([spoken]).map(replyText).join('');
    expect(passed).toBe(spoken.replace('200\r\n', '200 \r\n').replace('here\n', 'here\r\n'));
    expect(repliesOf([passed])).toHaveLength(5);
    expect(replyText({ code: 250, lines: ['250-x', '250'] })).toBe('250-x\r\n250 \r\n');
  });

  it('is no reply without a number in front', () => {
    expect(repliesOf(['hello\r\n\r\n999 x\r\n12 x\r\n1234 x\r\n230 in\r\n'])).toEqual([
      { code: 230, lines: ['230 in'] },
    ]);
  });

  it('may not go on without an end', () => {
    const tooLong = expect.objectContaining({ code: 'SOURCE_PROTOCOL' });
    expect(() => new LineCutter().push('x'.repeat(70_000))).toThrow(tooLong);
    expect(() => new LineCutter().push(`${'x'.repeat(70_000)}\r\n`)).toThrow(tooLong);
    expect(new LineCutter().push(`${'x'.repeat(60_000)}\r\n`)).toHaveLength(1);
    const reader = new ReplyReader();
    reader.push('211-x');
    expect(() => {
      for (let at = 0; at < 40; at += 1) reader.push(` ${'x'.repeat(60_000)}`);
    }).toThrow(tooLong);
  });
});
