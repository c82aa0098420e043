import { describe, expect, test } from 'vitest';
import { parseFtpTime, parseLsList, parseMlsd } from './listing.ts';

const now = new Date('2026-03-10T12:00:00Z');
const at = (text: string) => BigInt(Date.parse(text)) * 1_000_000n;
const ls = (line: string) => parseLsList(`${line}\r\n`, now).items[0];

describe('LIST', () => {
  test.each([
    ['-rw-r--r--    1 1000     1001         1234 Mar 09 11:22 a file', 'file', 1234, 0o644, '2026-03-09T11:22:00Z'],
    ['-rwsr-sr-T    1 0 0 5 Nov 21 04:36  lead', 'file', 5, 0o7754, '2025-11-21T04:36:00Z'],
    ['drwxr-xr-x+   2 owner    group        4096 Jan  1  2001 d', 'directory', 4096, 0o755, '2001-01-01T00:00:00Z'],
    ['-rw-r--r-- 1 owner 77 Feb 29 2024 no group', 'file', 77, 0o644, '2024-02-29T00:00:00Z'],
  ])('%s', (line, type, sizeBytes, mode, time) => {
    expect(ls(line)).toMatchObject({ type, sizeBytes, mode, mtimeNs: at(time) });
  });

  test('owners, names with spaces and targets of links', () => {
    expect(ls('-rw-r--r--    1 1000     1001         1 Mar 09 11:22  two  spaces ')).toMatchObject({
      uid: 1000,
      gid: 1001,
      name: ' two  spaces ',
    });
    expect(ls('lrwxrwxrwx    1 0        0               4 Nov 21 04:36 ln -> ../x -> y')).toMatchObject({
      type: 'symlink',
      name: 'ln',
      linkTarget: '../x -> y',
    });
    expect(ls('crw-rw-rw-    1 0        0          1,   3 Nov 21 04:36 null')).toMatchObject({ type: 'other' });
  });

  test('DOS', () => {
    expect(ls('02-24-26  10:31PM       <DIR>          a folder')).toMatchObject({
      type: 'directory',
      name: 'a folder',
    });
    expect(ls('02-24-2026  12:31AM                 1234 f.txt')).toMatchObject({
      type: 'file',
      sizeBytes: 1234,
      mtimeNs: at('2026-02-24T00:31:00Z'),
    });
  });

  test('`.` and `..` are no items, but tell that the server has understood', () => {
    const dot = 'drwxr-xr-x    3 1006     1006         4096 Nov 21 04:36 .';
    expect(parseLsList(`total 12\r\n${dot}\r\n${dot}.\r\n`, now)).toEqual({ items: [], self: true });
    expect(parseLsList('', now)).toEqual({ items: [], self: false });
  });
});

describe('MLSD', () => {
  test('facts in any order and case', () => {
    const line = 'Modify=20260102030405.678;Size=15;TYPE=file;UNIX.mode=0o4755;UNIX.uid=7;UNIX.gid=8;Unique=fe; a b';
    expect(parseMlsd(`${line}\r\n`).items).toEqual([
      {
        name: 'a b',
        type: 'file',
        sizeBytes: 15,
        mode: 0o4755,
        uid: 7,
        gid: 8,
        mtimeNs: at('2026-01-02T03:04:05.678Z'),
        unique: 'fe',
      },
    ]);
  });

  test('links, the directory itself and what is none of these', () => {
    const lines = [
      'type=cdir; .',
      'type=pdir; ..',
      'type=OS.unix=slink:/x; ln',
      'type=OS.unix=symlink; l2',
      'type=OS.unix=chr-1/3; c',
    ];
    const { items, self } = parseMlsd(lines.map((line) => `${line}\r\n`).join(''));
    expect(self).toBe(true);
    expect(items).toMatchObject([
      { type: 'symlink', linkTarget: '/x' },
      { type: 'symlink', name: 'l2' },
      { type: 'other' },
    ]);
  });
});

test('names that are none are told, not taken', () => {
  const items = parseMlsd(
    ['type=file; a/b', 'type=file; ../x', 'type=file; a\nb', 'type=file; '].join('\r\n').concat('\r\n'),
  ).items;
  expect(items).toEqual([{ broken: 'a/b' }, { broken: '../x' }, { broken: 'a\nb' }, { broken: '' }]);
});

test('the rest of a name with a line break takes its beginning with it', () => {
  expect(parseMlsd('type=file; a\nrest of it\ntype=file; z\n').items).toMatchObject([
    { broken: 'rest of it' },
    { name: 'z' },
  ]);
});

test('times', () => {
  expect(parseFtpTime('19991005213102')).toBe(at('1999-10-05T21:31:02Z'));
  expect(parseFtpTime('20260102030405.123456789')).toBe(at('2026-01-02T03:04:05Z') + 123_456_789n);
  expect(parseFtpTime('yesterday')).toBeUndefined();
});
