import { randomBytes } from 'node:crypto';
import { chmod, mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from '@xvault/shared/testing/find-program.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { targetOf, testSshOptions } from '../../testing/sftp-client.ts';
import { type Listed, listAll } from '../../testing/sources.ts';
import type { ReadResult, SourceEntry, SourceSession } from '../connector.ts';
import { createSftpConnector } from '../sftp/connector.ts';
import { createSshConnector } from './connector.ts';

const { signal } = new AbortController();
const connector = createSshConnector(testSshOptions());
const programs = { gnu: 'tar', bsd: 'bsdtar', busybox: 'busybox' };

function smallFiles({ entries }: Listed, session: SourceSession): SourceEntry[] {
  return entries.filter(({ type, sizeBytes }) => type === 'file' && sizeBytes <= session.smallFileBytes);
}

async function readAll(session: SourceSession, entries: readonly SourceEntry[]): Promise<ReadResult[]> {
  const batches: Promise<ReadResult[]>[] = [];
  for (let at = 0; at < entries.length; at += 64) batches.push(session.readMany(entries.slice(at, at + 64), signal));
  return (await Promise.all(batches)).flat();
}

/** A server on which `tar` is a certain one. */
async function startWith(tar: keyof typeof programs): Promise<{ sshd: TestSshd; bin: string }> {
  const bin = await run('mktemp', ['-d', '/tmp/xvault-bin-XXXXXX']).then((text) => text.trim());
  await chmod(bin, 0o755);
  const program = findProgram([programs[tar]]);
  if (program === undefined) throw new Error(`${programs[tar]} is not installed`);
  await symlink(program, join(bin, 'tar'));
  const sshd = await startSshd({ extraConfig: [`SetEnv PATH=${bin}:/usr/bin:/bin`] });
  return { sshd, bin };
}

describe.each(['gnu', 'bsd', 'busybox'] as const)('the tar of a server is %s', (kind) => {
  let sshd: TestSshd;
  let bin: string;
  let secret: { private_key: string };
  let round = 0;

  beforeAll(async () => {
    ({ sshd, bin } = await startWith(kind));
    secret = { private_key: sshd.privateKey };
  });
  afterAll(async () => {
    await sshd?.stop();
    if (bin !== undefined) await rm(bin, { recursive: true });
  });

  async function opened(): Promise<{ root: string; session: SourceSession }> {
    round += 1;
    const root = join(sshd.dataDir, `it's "tree" $HOME \`${round}\` %s ü`);
    await mkdir(root);
    return { root, session: await connector.connect(targetOf(sshd, { path: root }), secret, signal) };
  }

  test('a probe tells of it', async () => {
    const probe = await connector.probe(targetOf(sshd), secret, signal);
    expect(probe.details).toMatchObject({ transport: 'tar', shell: true });
    expect(String(probe.details?.tar)).toMatch({ gnu: /GNU tar/, bsd: /^bsdtar/, busybox: /busybox/ }[kind]);
    expect(probe.measure).toMatchObject({ complete: true });
  });

  test('names of all bytes, contents of all sizes', async () => {
    const { root, session } = await opened();
    const names = [
      'line\nbreak',
      'end\n',
      `quo"te'`,
      '-rf',
      '--help',
      '*?[',
      '\\',
      '\\n',
      'ü',
      ' ',
      '@LongLink',
      'n'.repeat(255),
    ];
    const all = [...names.map((name) => Buffer.from(name)), Buffer.from([0x66, 0xff, 0xfe, 0x80, 0x01])];
    for (const [at, name] of all.entries()) {
      await writeFile(
        Buffer.concat([Buffer.from(`${root}/`), name]),
        randomBytes([0, 1, 511, 512, 513, 70_000, 262_144][at % 7] ?? 0),
      );
    }
    const deep = join(root, ...Array.from({ length: 60 }, () => 'directory'));
    await mkdir(deep, { recursive: true });
    await writeFile(join(deep, 'file'), 'deep');
    const listed = await listAll(session, signal);
    const files = smallFiles(listed, session);
    expect(files).toHaveLength(all.length + 1);
    const results = await readAll(session, files);
    const sftp = await createSftpConnector(testSshOptions()).connect(targetOf(sshd, { path: root }), secret, signal);
    const expected = await readAll(sftp, files);
    for (const [at, result] of results.entries()) {
      const other = expected[at];
      if (!result.ok || !other?.ok) throw new Error(`not read: ${files[at]?.path.toString()}`);
      expect(result.entry.path).toEqual(files[at]?.path);
      expect(result.data.equals(other.data)).toBe(true);
      expect(result.changed).toBe(false);
      expect({ ...result.entry, mtimeNs: result.entry.mtimeNs / 1_000_000_000n }).toEqual({
        ...other.entry,
        mtimeNs: other.entry.mtimeNs / 1_000_000_000n,
      });
    }
    expect(session.describe?.()).toMatchObject({ transport: 'tar', files_by_tar: files.length });
    await Promise.all([session.close(), sftp.close()]);
  });

  test('hard links, holes and times of before 1970', async () => {
    const { root, session } = await opened();
    await writeFile(join(root, 'a'), 'twice');
    await run('ln', [join(root, 'a'), join(root, 'b')]);
    await writeFile(join(root, 'holes'), 'x');
    await truncate(join(root, 'holes'), 200_000);
    await writeFile(join(root, 'old'), 'old');
    await run('touch', ['-d', '1969-12-30T23:59:59.5Z', join(root, 'old')]);
    const files = smallFiles(await listAll(session, signal), session);
    const results = await readAll(session, files);
    expect(results.map((result) => result.ok && result.data.length)).toEqual([5, 5, 200_000, 3]);
    if (kind === 'gnu') expect(results[3]).toMatchObject({ entry: { mtimeNs: -86_400_500_000_000n } });
    await session.close();
  });

  test('what vanished, changed its kind, cannot be read or has grown is told for each', async () => {
    const { root, session } = await opened();
    for (const name of [
      'a',
      'gone',
      'grown',
      'grown far',
      'grown very far',
      'locked',
      'now a directory',
      'now a link',
      'z',
    ]) {
      await writeFile(join(root, name), name);
    }
    await chmod(join(root, 'locked'), 0);
    const listed = await listAll(session, signal);
    await rm(join(root, 'gone'));
    await writeFile(join(root, 'grown'), Buffer.alloc(90_000, 'g'));
    await writeFile(join(root, 'grown far'), Buffer.alloc(1_000_000, 'g'));
    await writeFile(join(root, 'grown very far'), Buffer.alloc(20_000_000, 'g'));
    for (const name of ['now a directory', 'now a link']) await rm(join(root, name));
    await mkdir(join(root, 'now a directory'));
    await symlink('a', join(root, 'now a link'));
    const files = smallFiles(listed, session);
    const results = await readAll(session, files);
    const told = files.map(({ path }, at) => {
      const result = results[at];
      return [
        path.toString(),
        result?.ok ? `${result.data.length}${result.changed ? ' changed' : ''}` : result?.skipped.skipped,
      ];
    });
    expect(told).toEqual([
      ['a', '1'],
      ['gone', 'ITEM_VANISHED'],
      ['grown', '90000'],
      ['grown far', '262144 changed'],
      ['grown very far', '262144 changed'],
      ['locked', 'ITEM_UNREADABLE'],
      ['now a directory', 'ITEM_VANISHED'],
      ['now a link', 'ITEM_VANISHED'],
      ['z', '1'],
    ]);
    await session.close();
  });

  test('the connection breaks while files stream: all of them come', async () => {
    const root = join(sshd.dataDir, 'breaks');
    await mkdir(root);
    const contents = Array.from({ length: 400 }, (_, at) => randomBytes(20_000 + at));
    await Promise.all(contents.map((content, at) => writeFile(join(root, String(1000 + at)), content)));
    const proxy = await startTcpProxy(sshd.port);
    const session = await connector.connect(targetOf(sshd, { path: root, port: proxy.port }), secret, signal);
    const files = smallFiles(await listAll(session, signal), session);
    const before = proxy.bytesToClients();
    const reading = readAll(session, files);
    await until('some of it', () => proxy.bytesToClients() > before + 2_000_000);
    proxy.cut();
    const results = await reading;
    expect(results.map((result) => result.ok && result.data)).toEqual(contents);
    expect(session.describe?.()).toMatchObject({ connections_lost: 1, transport: 'tar' });
    await session.close();
    await proxy.close();
    await until('no processes left', () => sshd.sessionCount() === 0);
  });
});
