import { expect, test } from 'vitest';
import { conninfo, toolFiles } from './conninfo.ts';
import { fitting, majorOf } from './versions.ts';

const tool = (version: string) => ({ program: `/bin/${version}`, versionText: `pg_dump (PostgreSQL) ${version}` });

test('the oldest program that is not older than the server is taken', () => {
  const tools = [tool('17.2'), tool('13.9'), tool('15.4 (Debian 15.4-1)'), tool('9.6.24')];
  expect(tools.map(({ versionText }) => majorOf(versionText))).toEqual([17, 13, 15, 9]);
  expect([9, 12, 15, 16].map((major) => majorOf(fitting(tools, major, 'x').versionText))).toEqual([9, 13, 15, 17]);
});

test('a server that is newer than every program is told', () => {
  const code = { code: 'SOURCE_TOOL_MISSING', params: { needed_version: 18 } };
  expect(() => fitting([tool('17.2')], 18, 'pg_dump')).toThrow(expect.objectContaining(code));
  expect(() => fitting([], 18, 'pg_dump')).toThrow(expect.objectContaining(code));
});

test('names and passwords are quoted for libpq', () => {
  expect(conninfo(`a'b\\c=d`)).toBe(`dbname='a\\'b\\\\c=d'`);
  const policy = { mode: 'required', caPem: null, host: 'h' } as const;
  expect(toolFiles('a:b\\c', policy)).toEqual(['*:*:*:*:a\\:b\\\\c\n']);
  expect(toolFiles('p', { ...policy, mode: 'verify_full' })[1]).toContain('-----BEGIN CERTIFICATE-----');
});
