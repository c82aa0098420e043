import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from '@xvault/shared/testing/find-program.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd } from '@xvault/shared/testing/sshd.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { targetOf, testSshOptions } from '../../testing/sftp-client.ts';
import { entryAt, listAll, readOne } from '../../testing/sources.ts';
import { type EntryFilter, isSkipped } from '../connector.ts';
import { createSshConnector } from './connector.ts';

const { signal } = new AbortController();
const connector = createSshConnector(testSshOptions());
let sshd: Awaited<ReturnType<typeof startSshd>>;

beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

test('an account in a chroot with SFTP alone is read by SFTP, and the reason is told', async () => {
  const server = await startSshd({ extraConfig: ['ForceCommand internal-sftp', 'ChrootDirectory /'] });
  try {
    await writeFile(join(server.dataDir, 'file'), 'content');
    const secret = { private_key: server.privateKey };
    const probe = await connector.probe(targetOf(server), secret, signal);
    expect(probe.details).toMatchObject({
      transport: 'sftp',
      shell: false,
      tar: null,
      transport_reason: expect.any(String),
    });
    expect(probe.measure).toEqual({ fileCount: 1, totalBytes: 7, complete: true });
    const session = await connector.connect(targetOf(server), secret, signal);
    const entry = entryAt(await listAll(session, signal), 'file');
    expect(await readOne(session, entry, signal)).toMatchObject({ ok: true, data: Buffer.from('content') });
    expect(session.describe?.()).toMatchObject({ transport: 'sftp', transport_reason: expect.any(String) });
    await session.close();
  } finally {
    await server.stop();
  }
});

test('a login shell that talks first does not spoil the archive', async () => {
  const server = findProgram(
    ['sftp-server'],
    ['/usr/lib/openssh', '/usr/lib/ssh', '/usr/libexec/openssh', '/usr/libexec'],
  );
  if (server === undefined) throw new Error('sftp-server is not installed');
  const talking = await startSshd({
    extraConfig: [
      `ForceCommand [ -z "$SSH_ORIGINAL_COMMAND" ] || [ "$SSH_ORIGINAL_COMMAND" = internal-sftp ] && exec ${server}; echo "Welcome to this server"; echo; eval "$SSH_ORIGINAL_COMMAND"`,
    ],
  });
  try {
    await writeFile(join(talking.dataDir, 'file'), 'content');
    const session = await connector.connect(targetOf(talking), { private_key: talking.privateKey }, signal);
    const entry = entryAt(await listAll(session, signal), 'file');
    expect(await readOne(session, entry, signal)).toMatchObject({ ok: true, data: Buffer.from('content') });
    expect(session.describe?.()).toMatchObject({ transport: 'tar', files_by_tar: 1 });
    await session.close();
  } finally {
    await talking.stop();
  }
});

test('symlinks are followed where that is asked for, and loops are cut', async () => {
  const root = join(sshd.dataDir, 'links');
  const outside = join(sshd.dataDir, 'outside');
  await mkdir(join(root, 'sub'), { recursive: true });
  await mkdir(outside);
  await writeFile(join(outside, 'file'), 'from outside');
  await symlink(outside, join(root, 'directory'));
  await symlink(join(outside, 'file'), join(root, 'link'));
  await symlink('nowhere', join(root, 'dangling'));
  await symlink('..', join(root, 'sub', 'up'));
  await symlink(root, join(outside, 'back'));
  await run('chown', ['-hR', `${sshd.user.uid}:${sshd.user.gid}`, root, outside]);
  const session = await connector.connect(targetOf(sshd, { path: root }), { private_key: sshd.privateKey }, signal);
  const found: string[] = [];
  const files = [];
  for await (const item of session.list({ oneFileSystem: false, signal, followSymlinks: true })) {
    found.push(`${item.path} ${isSkipped(item) ? item.skipped : item.type}`);
    if (!isSkipped(item) && item.type === 'file') files.push(item);
  }
  expect(found).toEqual([
    '. directory',
    'dangling symlink',
    'directory directory',
    'directory/back ITEM_UNSUPPORTED',
    'directory/file file',
    'link file',
    'sub directory',
    'sub/up ITEM_UNSUPPORTED',
  ]);
  const results = await session.readMany(files, signal);
  expect(results.map((result) => result.ok && result.data.toString())).toEqual(['from outside', 'from outside']);
  expect(session.describe?.()).toMatchObject({ files_by_tar: 2 });
  await session.close();
});

test('what a filter prunes is not even looked at on the far side', async () => {
  const root = join(sshd.dataDir, 'filtered');
  await mkdir(join(root, 'cache', 'deep'), { recursive: true });
  await mkdir(join(root, 'skipped'));
  for (const name of ['cache/deep/file', 'skipped/kept', 'skipped/no.log', 'kept'])
    await writeFile(join(root, name), '');
  const judged: string[] = [];
  const filter: EntryFilter = {
    patterns: { include: [], exclude: [] },
    judge(path) {
      judged.push(path.toString());
      if (path.toString() === 'cache') return 'prune';
      return path.toString() === 'skipped' || path.toString().endsWith('.log') ? 'skip' : 'take';
    },
  };
  const session = await connector.connect(targetOf(sshd, { path: root }), { private_key: sshd.privateKey }, signal);
  const paths: string[] = [];
  for await (const item of session.list({ oneFileSystem: false, signal, filter })) paths.push(item.path.toString());
  expect(paths).toEqual(['.', 'kept', 'skipped', 'skipped/kept']);
  expect(judged.some((path) => path.startsWith('cache/'))).toBe(false);
  await session.close();
});
