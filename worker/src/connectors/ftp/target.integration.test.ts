import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPyftpd, type TestPyftpd } from '@xvault/shared/testing/pyftpd.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SourceEntry } from '../connector.ts';
import { TargetItemError, type TargetSession } from '../target.ts';
import { configOf, loopback, never } from './ftp.test-kit.ts';
import { createFtpTarget } from './target.ts';

const connector = createFtpTarget({ guard: loopback, retryDelaysMs: [10, 50] });
const mtimeNs = BigInt(Date.parse('2020-02-29T12:34:56Z')) * 1_000_000n;
let server: TestVsftpd | TestPyftpd;
let target: TargetSession;
const at = (...parts: string[]) => join(server.dataDir, ...parts);
const entry = (path: string, type: SourceEntry['type'] = 'file'): SourceEntry => ({
  ...{ path: Buffer.from(path), type, sizeBytes: 0, mode: 0o640, uid: 0, gid: 0, mtimeNs },
});
async function* pieces(...content: (Buffer | string)[]): AsyncGenerator<Buffer> {
  for (const piece of content) yield Buffer.from(piece);
}
const write = (path: string, ...content: (Buffer | string)[]) =>
  target.writeFile(entry(path), pieces(...content), never);

const start = { vsftpd: () => startVsftpd(), pyftpdlib: () => startPyftpd() };

describe.each(['vsftpd', 'pyftpdlib'] as const)('on %s', (name) => {
  beforeEach(async () => {
    server = await start[name]();
    await mkdir(at('home'));
    if (name === 'vsftpd' && 'uid' in server) {
      await chown(at('home'), server.uid, server.gid);
    }
    const config = configOf(server, { connections: 3 });
    target = await connector.connectTarget(config, { password: server.password }, '/home/new root', never, {
      tag: 't1',
    });
  });
  afterEach(async () => {
    await target?.close();
    await server?.stop();
  });

  test('connecting changes nothing; the root and directories are made when asked for', async () => {
    expect(await readdir(at('home'))).toEqual([]);
    expect(await target.stat(Buffer.from('.'))).toBeNull();
    expect(await target.stat(Buffer.from('a/b'))).toBeNull();
    await Promise.all(['a/b/c', 'a/b/d', 'a/b/c'].map((path) => target.makeDirectory(Buffer.from(path))));
    await target.makeDirectory(Buffer.from('a'));
    expect((await readdir(at('home', 'new root', 'a', 'b'))).sort()).toEqual(['c', 'd']);
    expect(await target.stat(Buffer.from('.'))).toMatchObject({ type: 'directory' });
    expect(await target.stat(Buffer.from('a/b/d'))).toMatchObject({ type: 'directory' });
  });

  test('files are whole or not there, with mode and time as far as the server has them', async () => {
    await target.makeDirectory(Buffer.from('.'));
    const content = randomBytes(3 * 1024 * 1024);
    await write('file with spaces', content.subarray(0, 1_000_000), content.subarray(1_000_000));
    expect((await readFile(at('home', 'new root', 'file with spaces'))).equals(content)).toBe(true);
    const { mode, mtimeMs } = await stat(at('home', 'new root', 'file with spaces'));
    expect(target.abilities).toEqual({ symlinks: false, modes: true, mtimes: name === 'pyftpdlib' });
    expect(mode & 0o777).toBe(0o640);
    if (target.abilities.mtimes) expect(BigInt(mtimeMs) * 1_000_000n).toBe(mtimeNs);
    await write('file with spaces', 'replaced');
    expect(await readFile(at('home', 'new root', 'file with spaces'), 'utf8')).toBe('replaced');
    expect(await target.stat(Buffer.from('file with spaces'))).toMatchObject({ type: 'file', sizeBytes: 8 });
    expect((await target.stat(Buffer.from('file with spaces')))?.mtimeNs).not.toBeNull();
    expect(await readdir(at('home', 'new root'))).toEqual(['file with spaces']);
    await target.finishDirectory(entry('.', 'directory'));
  });

  test('a content that fails leaves nothing, and others go on', async () => {
    await target.makeDirectory(Buffer.from('.'));
    await write('kept', 'old');
    const failing = async function* () {
      yield Buffer.alloc(100_000);
      throw new Error('the snapshot is damaged');
    };
    await expect(target.writeFile(entry('kept'), failing(), never)).rejects.toThrow('the snapshot is damaged');
    await write('other', 'x');
    expect(await readFile(at('home', 'new root', 'kept'), 'utf8')).toBe('old');
    expect((await readdir(at('home', 'new root'))).sort()).toEqual(['kept', 'other']);
  });

  test('what one path is refused for is that path’s error alone', async () => {
    await target.makeDirectory(Buffer.from('dir'));
    await write('file', 'x');
    await expect(write('dir', 'x')).rejects.toBeInstanceOf(TargetItemError);
    await expect(write('file/below', 'x')).rejects.toBeInstanceOf(TargetItemError);
    await expect(write('missing/x', 'x')).rejects.toBeInstanceOf(TargetItemError);
    await expect(target.makeDirectory(Buffer.from('file'))).rejects.toBeInstanceOf(TargetItemError);
    await expect(write('two\r\nDELE file', 'x')).rejects.toBeInstanceOf(TargetItemError);
    await expect(target.makeSymlink(entry('link', 'symlink'))).rejects.toBeInstanceOf(TargetItemError);
    await write('after', 'x');
    expect((await readdir(at('home', 'new root'))).sort()).toEqual(['after', 'dir', 'file']);
  });
});

test('links below the root are not followed', async () => {
  server = await startVsftpd();
  await mkdir(at('elsewhere'), { mode: 0o777 });
  await writeFile(at('elsewhere', 'victim'), 'untouched');
  await mkdir(at('root'));
  await symlink('../elsewhere', at('root', 'link'));
  target = await connector.connectTarget(configOf(server), { password: server.password }, '/root', never);
  await expect(write('link/victim', 'changed')).rejects.toBeInstanceOf(TargetItemError);
  await expect(target.makeDirectory(Buffer.from('link/new'))).rejects.toBeInstanceOf(TargetItemError);
  await expect(target.stat(Buffer.from('link/victim'))).rejects.toBeInstanceOf(TargetItemError);
  expect(await target.stat(Buffer.from('link'))).toMatchObject({ type: 'symlink' });
  expect(await readFile(at('elsewhere', 'victim'), 'utf8')).toBe('untouched');
  await target.close();
  await server.stop();
});

test.each(['explicit', 'implicit'] as const)('%s TLS: small and empty files arrive, again and again', async (tls) => {
  const own = await startVsftpd({ tls });
  server = own;
  await mkdir(at('home'));
  await chown(at('home'), own.uid, own.gid);
  const config = configOf(own, { tls, ca_pem: own.certPem, connections: 3 });
  const more = { tag: 't1' };
  target = await connector.connectTarget(config, { password: own.password }, '/home', never, more);
  const contents = Array.from({ length: 12 }, (_, number) => (number % 2 === 0 ? '' : `content ${number}`));
  try {
    await Promise.all(contents.map((content, number) => write(`file ${number}`, content)));
    for (const [number, content] of contents.entries()) {
      expect(await readFile(at('home', `file ${number}`), 'utf8')).toBe(content);
    }
  } finally {
    await target.close();
    await own.stop();
  }
});
