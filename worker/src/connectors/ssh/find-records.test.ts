import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findCommand, questionLine } from './find-command.ts';
import { BadFind, entryOfFound, parseFound, secondsOf } from './find-records.ts';

const found = (text: string) => parseFound(Buffer.from(text, 'latin1'));

test('a record becomes an entry, with everything that SFTP does not tell', () => {
  const file = found('0 f 65024 42 2 4755 1000 100 12 1700000000.1234567890 na me\n/');
  expect(entryOfFound(Buffer.from('d/na me\n'), file)).toEqual({
    path: Buffer.from('d/na me\n'),
    type: 'file',
    sizeBytes: 12,
    mode: 0o4755,
    uid: 1000,
    gid: 100,
    mtimeNs: 1_700_000_000_123_456_789n,
    hardLinkKey: '65024:42',
  });
  expect(file.name).toEqual(Buffer.from('na me\n'));
  const link = found('0 l 1 2 2 777 0 0 9 5.0000000000 l/../x//\xff');
  expect(link.linkTarget).toEqual(Buffer.from('../x//\xff', 'latin1'));
  expect(entryOfFound(Buffer.from('l'), link)).not.toHaveProperty('hardLinkKey');
  expect(entryOfFound(Buffer.from('p'), found('0 p 1 2 1 644 0 0 0 5.0000000000 p/'))).toBeNull();
});

test('times of before 1970 are whole seconds rounded down, and what comes after them', () => {
  expect(found('0 f 1 2 1 644 0 0 0 -86401.2500000000 x/').mtimeNs).toBe(-86_400_750_000_000n);
  expect(found('0 f 1 2 1 644 0 0 0 -1.7500000000 x/').mtimeNs).toBe(-250_000_000n);
  expect([-250_000_000n, -1_000_000_000n, 0n, 1_999_999_999n].map(secondsOf)).toEqual([-1n, -1n, 0n, 1n]);
});

test.each([
  '',
  '0 f',
  '0 f 1 2 1 644 0 0 0 5.0000000000 no end',
  '0 f 1 2 1 644 0 0 0 5.0000000000 /',
  '0 f 1 2 1 648 0 0 0 5.0000000000 x/',
  '0 f 1 2 1 644 0 0 0 5 x/',
  '0 f 1 2 1 644 0 0 99999999999999999999 5.0000000000 x/',
  '2 f 1 2 1 644 0 0 0 5.0000000000 too deep/',
  '0 f 1 -2 1 644 0 0 0 5.0000000000 x/',
  'find: ‘./x’: Permission denied',
])('what is no record is refused: %j', (text) => {
  expect(() => found(text)).toThrow(BadFind);
});

test('whatever comes is a record or refused, and names and targets are any bytes', () => {
  const bytes = (most: number) => fc.uint8Array({ maxLength: most }).map((array) => Buffer.from(array).filter(Boolean));
  fc.assert(
    fc.property(bytes(200), (garbage) => {
      try {
        parseFound(Buffer.from(garbage));
      } catch (error) {
        expect(error).toBeInstanceOf(BadFind);
      }
    }),
  );
  fc.assert(
    fc.property(bytes(255), bytes(300), fc.bigInt({ min: 0n, max: 2n ** 62n }), (given, target, size) => {
      const name = Buffer.concat([Buffer.from('n'), given.filter((byte) => byte !== 0x2f)]);
      const sizeBytes = size % 2n ** 53n;
      const head = Buffer.from(`1 l 3 4 1 777 0 0 ${sizeBytes} 5.0000000010 `);
      const item = parseFound(Buffer.concat([head, name, Buffer.from('/'), target]));
      expect(item.name.equals(name)).toBe(true);
      expect(item.linkTarget.equals(Buffer.from(target))).toBe(true);
      expect([item.sizeBytes, item.mtimeNs]).toEqual([Number(sizeBytes), 5_000_000_001n]);
    }),
  );
});

test('a question is one line without any byte that means something on its way, and words in quotes after it', () => {
  const path = Buffer.from(Array.from({ length: 255 }, (_, at) => at + 1));
  const line = questionLine('directory', [path, Buffer.from('.'), Buffer.from("it's")]);
  expect(line).toMatch(/^d [A-Za-z0-9./\\_-]+\n$/);
  const decoded = line
    .slice(2, -1)
    .replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
  const inQuotes = path.toString('latin1').replace("'", "'\\''");
  expect(decoded).toBe(`'./${inQuotes}' './.' './it'\\''s'`);
  expect(findCommand(path)).not.toContain('\n');
});
