import { expect, test } from 'vitest';
import { parseDemoOptions, parseSftpTarget, UsageError } from './options.ts';

test('reads paths and flags in any order', () => {
  expect(parseDemoOptions(['--json', '/srv/data', '--stay'])).toEqual({
    json: true,
    stay: true,
    path: '/srv/data',
    sftp: undefined,
    keyFile: undefined,
  });
  expect(parseDemoOptions([])).toMatchObject({ json: false, stay: false, path: undefined });
});

test.each([
  ['me@host:/srv', { user: 'me', host: 'host', port: 22, path: '/srv' }],
  ['me@10.0.0.1:2222:/a:b', { user: 'me', host: '10.0.0.1', port: 2222, path: '/a:b' }],
  ['me@[::1]:/', { user: 'me', host: '::1', port: 22, path: '/' }],
])('understands %s', (text, expected) => {
  expect(parseSftpTarget(text)).toEqual(expected);
});

test.each([
  [['--sftp', 'host:/path']],
  [['--sftp', 'me@host:relative']],
  [['--sftp', 'me@host:/a', '/b']],
  [['--key', 'file', '/b']],
  [['--unknown']],
  [['/a', '/b']],
])('refuses %j', (args) => {
  expect(() => parseDemoOptions(args)).toThrow(UsageError);
});
