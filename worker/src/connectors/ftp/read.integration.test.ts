import { createHash, randomBytes } from 'node:crypto';
import { appendFile, chmod, mkdir, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPyftpd, type TestPyftpd } from '@xvault/shared/testing/pyftpd.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { entryAt, listAll, readLarge, readOne, skippedAt } from '../../testing/sources.ts';
import { isSkipped, type SourceSession } from '../connector.ts';
import { createFilter } from '../filter/filter.ts';
import { configOf, never, testFtpConnector } from './ftp.test-kit.ts';

const { connect } = testFtpConnector();
const MiB = 1024 * 1024;
const mtime = new Date('2020-02-29T12:34:56Z');

let server: TestVsftpd | TestPyftpd;
let session: SourceSession;
const start = {
  'vsftpd, which has LIST alone': () => startVsftpd(),
  'pyftpdlib, which has MLSD': () => startPyftpd(),
};
const names = Object.keys(start) as (keyof typeof start)[];
const at = (...parts: string[]) => join(server.dataDir, ...parts);
const open = async (more: Parameters<typeof configOf>[1] = {}) => {
  session = await connect(configOf(server, more), { password: server.password }, never);
  return session;
};
afterEach(async () => {
  await session?.close();
  await server?.stop();
});

describe.each(names)('%s', (name) => {
  beforeEach(async () => {
    server = await start[name]();
  });

  test('a tree in order, with sizes, modes and exact times, hidden names too', async () => {
    await mkdir(at('b', 'deep er'), { recursive: true });
    await mkdir(at('empty'));
    await writeFile(at('b', 'deep er', ' lead and trail '), 'inner');
    await writeFile(at('.hidden'), 'h', { mode: 0o600 });
    await chmod(at('.hidden'), 0o604);
    await writeFile(at('a*b?[c]'), 'pattern');
    await mkdir(at('d*[x]'));
    await writeFile(at('d*[x]', 'in'), '');
    await utimes(at('.hidden'), mtime, mtime);
    await open();
    const listed = await listAll(session, never);
    expect(listed.paths.map(String)).toEqual([
      ...['.', '.hidden', 'a*b?[c]', 'b', 'b/deep er', 'b/deep er/ lead and trail ', 'd*[x]', 'd*[x]/in', 'empty'],
    ]);
    expect(entryAt(listed, '.hidden')).toMatchObject({ type: 'file', sizeBytes: 1, mode: 0o604 });
    for (const [path, content] of [
      ['.hidden', 'h'],
      ['a*b?[c]', 'pattern'],
      ['b/deep er/ lead and trail ', 'inner'],
      ['d*[x]/in', ''],
    ] as const) {
      const result = await readOne(session, entryAt(listed, path), never);
      expect(result.ok && { data: result.data.toString(), changed: result.changed }).toEqual({
        data: content,
        changed: false,
      });
      if (path === '.hidden') {
        expect(result.ok && result.entry.mtimeNs).toBe(BigInt(mtime.getTime()) * 1_000_000n);
      }
    }
    expect(await session.measure({ oneFileSystem: false, signal: never })).toEqual({ fileCount: 4, totalBytes: 13 });
  });

  test('300 files over several connections, in their order', async () => {
    const contents = Array.from({ length: 300 }, (_, index) => `content of ${index}`);
    await Promise.all(contents.map((content, index) => writeFile(at(`f${String(index).padStart(3, '0')}`), content)));
    await open({ connections: 4 });
    const files = (await listAll(session, never)).entries.filter(({ type }) => type === 'file');
    const results = await session.readMany(files, never);
    expect(results.map((result) => result.ok && result.data.toString())).toEqual(contents);
  });

  test('a large file, while others are read beside it on one connection less', async () => {
    const content = randomBytes(6 * MiB);
    await writeFile(at('large'), content);
    await writeFile(at('small'), 's');
    await utimes(at('large'), mtime, mtime);
    await open({ connections: 2 });
    const listed = await listAll(session, never);
    const large = await readLarge(session, entryAt(listed, 'large'), never, async () => {
      const beside = await readOne(session, entryAt(listed, 'small'), never);
      expect(beside.ok).toBe(true);
    });
    expect(large.data.equals(content)).toBe(true);
    expect(large).toMatchObject({ sizeBytes: content.length, changed: false });
  });

  test('what grows, shrinks or vanishes', async () => {
    await writeFile(at('grows'), randomBytes(4 * MiB));
    await writeFile(at('gone'), 'x');
    await writeFile(at('gone large'), randomBytes(2 * MiB));
    await writeFile(at('shorter'), 'a long text');
    await open();
    const listed = await listAll(session, never);
    await rm(at('gone'));
    await rm(at('gone large'));
    await writeFile(at('shorter'), 'short');
    const gone = await readOne(session, entryAt(listed, 'gone'), never);
    expect(gone).toMatchObject({ ok: false, skipped: { skipped: 'ITEM_VANISHED' } });
    expect(await session.open(entryAt(listed, 'gone large'), never)).toMatchObject({ skipped: 'ITEM_VANISHED' });
    const shorter = await readOne(session, entryAt(listed, 'shorter'), never);
    expect(shorter).toMatchObject({ ok: true, changed: false, entry: { sizeBytes: 5 } });
    let appended = false;
    const grown = await readLarge(session, entryAt(listed, 'grows'), never, async () => {
      if (!appended) await appendFile(at('grows'), randomBytes(1000));
      appended = true;
    });
    expect(grown).toMatchObject({ sizeBytes: 4 * MiB, changed: true });
    expect(grown.data.length).toBe(4 * MiB);
  });

  test('a file that becomes shorter than what was read of it ends there', async () => {
    await writeFile(at('shrinks'), randomBytes(64 * MiB));
    await open();
    const entry = entryAt(await listAll(session, never), 'shrinks');
    let cut = false;
    const read = await readLarge(session, entry, never, async (bytes) => {
      if (!cut) await truncate(at('shrinks'), Math.max(bytes, 1000));
      cut = true;
    });
    expect(read.data.length).toBeLessThan(64 * MiB);
    expect(read.changed).toBe(true);
  });

  test('directories that a filter prunes are not even asked for', async () => {
    await mkdir(at('cache', 'deep'), { recursive: true });
    await mkdir(at('www'));
    await writeFile(at('www', 'index'), '');
    await open();
    const filter = createFilter({ include: [], exclude: ['cache/'] });
    const paths: string[] = [];
    for await (const item of session.list({ oneFileSystem: false, signal: never, filter }))
      paths.push(String(item.path));
    expect(paths).toEqual(['.', 'cache', 'www', 'www/index']);
    expect(await server.log()).toContain('/www');
    expect(await server.log()).not.toContain('/cache');
  });

  test('a name with a line break is told, and the rest is there', async () => {
    await writeFile(at('two\nlines'), 'x');
    await writeFile(at('z'), 'x');
    await open();
    const listed = await listAll(session, never);
    expect(listed.skipped.map(({ skipped }) => skipped)).toEqual(['ITEM_NAME_UNSUPPORTED']);
    expect(listed.entries.map(({ path }) => String(path))).toEqual(['.', 'z']);
  });

  test('one file system alone cannot be had over FTP', async () => {
    await open();
    await expect(listAll(session, never, true)).rejects.toMatchObject({ code: 'SOURCE_PROTOCOL' });
  });
});

describe('vsftpd', () => {
  test('links, names that are not UTF-8, and what may not be read', async () => {
    server = await startVsftpd();
    await symlink('../else where', at('link'));
    const odd = Buffer.from([0x66, 0xe9, 0xf0, 0x2e]);
    await writeFile(Buffer.concat([Buffer.from(`${server.dataDir}/`), odd]), 'odd');
    await writeFile(at('secret'), 's', { mode: 0o600 });
    await mkdir(at('closed'), { mode: 0o700 });
    await open();
    const listed = await listAll(session, never);
    expect(entryAt(listed, 'link')).toMatchObject({ type: 'symlink', linkTarget: Buffer.from('../else where') });
    const read = await readOne(session, entryAt(listed, odd), never);
    expect(read.ok && read.data.toString()).toBe('odd');
    expect(await readOne(session, entryAt(listed, 'secret'), never)).toMatchObject({ ok: false });
    expect(entryAt(listed, 'closed').type).toBe('directory');
    expect(skippedAt(listed, 'closed')).toBeDefined();
  });

  test('a Latin-1 server’s names are stored as UTF-8', async () => {
    server = await startVsftpd();
    await mkdir(Buffer.concat([Buffer.from(`${server.dataDir}/`), Buffer.from('caf\xe9', 'latin1')]));
    await writeFile(Buffer.concat([Buffer.from(`${server.dataDir}/`), Buffer.from('caf\xe9/\xfc', 'latin1')]), 'x');
    await open({ encoding: 'latin1' });
    const listed = await listAll(session, never);
    expect(listed.paths.map(String)).toEqual(['.', 'café', 'café/ü']);
    expect((await readOne(session, entryAt(listed, 'café/ü'), never)).ok).toBe(true);
    await session.close();
    await open({ encoding: 'latin1', path: '/café' });
    expect((await listAll(session, never)).paths.map(String)).toEqual(['.', 'ü']);
  });

  test('fewer connections than asked for are enough', async () => {
    // The one that looked whether the server was ready may still count.
    server = await startVsftpd({ extraConfig: ['max_per_ip=2'] });
    for (let at_ = 0; at_ < 20; at_ += 1) await writeFile(at(`f${at_}`), String(at_));
    await open({ connections: 8 });
    const files = (await listAll(session, never)).entries.filter(({ type }) => type === 'file');
    const results = await session.readMany(files, never);
    expect(results.every((result) => result.ok)).toBe(true);
  });
});

test('links in a circle that MLSD hides are cut', async () => {
  server = await startPyftpd();
  await mkdir(at('a', 'b'), { recursive: true });
  await symlink('..', at('a', 'b', 'up'));
  await symlink('.', at('self'));
  await open();
  const listed = await listAll(session, never);
  expect(listed.entries.length).toBeLessThan(20);
  expect(listed.skipped.length).toBeGreaterThan(0);
  expect(listed.skipped.every(({ skipped }) => skipped === 'ITEM_UNSUPPORTED')).toBe(true);
});

test('a server without SIZE and MDTM', async () => {
  server = await startPyftpd({ without: ['MLSD', 'MLST', 'SIZE', 'MDTM'] });
  const content = randomBytes(3 * MiB);
  await writeFile(at('large'), content);
  await writeFile(at('small'), 'small');
  await open();
  const listed = await listAll(session, never);
  const read = await readLarge(session, entryAt(listed, 'large'), never);
  expect(createHash('sha256').update(read.data).digest('hex')).toBe(createHash('sha256').update(content).digest('hex'));
  expect(await readOne(session, entryAt(listed, 'small'), never)).toMatchObject({ ok: true, changed: false });
  const opened = await session.open(entryAt(listed, 'large'), never);
  expect(isSkipped(opened)).toBe(false);
});
