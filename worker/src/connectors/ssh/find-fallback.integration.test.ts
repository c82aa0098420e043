import { chmod, link, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from '@xvault/shared/testing/find-program.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { expect, test } from 'vitest';
import { targetOf, testSshOptions } from '../../testing/sftp-client.ts';
import { entryAt, listAll, readOne } from '../../testing/sources.ts';
import type { SourceSession } from '../connector.ts';
import { createSshConnector } from './connector.ts';

const { signal } = new AbortController();
const connector = createSshConnector(testSshOptions());

/** A server on which `find` is a certain program. */
async function startWithFind(make: (path: string) => Promise<void>): Promise<TestSshd & AsyncDisposable> {
  const bin = (await run('mktemp', ['-d', '/tmp/xvault-bin-XXXXXX'])).trim();
  await chmod(bin, 0o755);
  await make(join(bin, 'find'));
  const server = await startSshd({ extraConfig: [`SetEnv PATH=${bin}:/usr/bin:/bin`] });
  const remove = async () => {
    await server.stop();
    await rm(bin, { recursive: true });
  };
  return { ...server, [Symbol.asyncDispose]: remove };
}

const script = (text: string) => async (path: string) => {
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o755);
};

async function listsBySftp(server: TestSshd): Promise<SourceSession> {
  const root = join(server.dataDir, 'tree');
  await mkdir(join(root, 'sub'), { recursive: true });
  await writeFile(join(root, 'sub/file'), 'x');
  await link(join(root, 'sub/file'), join(root, 'sub/second'));
  const session = await connector.connect(targetOf(server, { path: root }), { private_key: server.privateKey }, signal);
  const listed = await listAll(session, signal);
  expect(listed.paths.map(String)).toEqual(['.', 'sub', 'sub/file', 'sub/second']);
  expect(listed.skipped).toEqual([]);
  expect(entryAt(listed, 'sub/file')).not.toHaveProperty('hardLinkKey');
  expect(await readOne(session, entryAt(listed, 'sub/file'), signal)).toMatchObject({ ok: true, changed: false });
  return session;
}

test('where find is not GNU’s, SFTP lists', async () => {
  const busybox = findProgram(['busybox']);
  if (busybox === undefined) throw new Error('busybox is not installed');
  await using server = await startWithFind((path) => symlink(busybox, path));
  const session = await listsBySftp(server);
  expect(session.describe?.()).not.toHaveProperty('listing');
  await session.close();
  const probe = await connector.probe(targetOf(server), { private_key: server.privateKey }, signal);
  expect(probe.details).toMatchObject({ listing: 'sftp', transport: 'tar' });
});

test('a find that only claims to be GNU’s is given up, and the reason is told', async () => {
  const claim = 'if [ "$1" = --version ]; then exec /usr/bin/find --version; fi';
  await using server = await startWithFind(script(`${claim}; printf 'no such option\\0'`));
  const session = await listsBySftp(server);
  expect(session.describe?.()).toMatchObject({ listing: 'sftp', listing_reason: expect.stringContaining('record') });
  await session.close();
});

test('a shell that sees another directory than SFTP does not list', async () => {
  const claim = 'if [ "$1" = --version ]; then exec /usr/bin/find --version; fi';
  await using server = await startWithFind(script(`${claim}; cd /usr && exec /usr/bin/find "$@"`));
  const session = await listsBySftp(server);
  expect(session.describe?.()).toMatchObject({ listing: 'sftp', listing_reason: expect.stringContaining('another') });
  await session.close();
});
