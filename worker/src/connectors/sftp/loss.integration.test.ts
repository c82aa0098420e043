import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy, type TcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { targetOf, testSftpConnector } from '../../testing/sftp-client.ts';
import { entryAt, listAll, readLarge } from '../../testing/sources.ts';
import type { SourceSession } from '../connector.ts';

// Each of these would hang for ever if a loss went unnoticed; the runner's own limit is what says so.
const { signal } = new AbortController();
const largeBytes = 64 * 1024 * 1024;
let sshd: TestSshd;
let proxy: TcpProxy;
let session: SourceSession;

beforeEach(async () => {
  sshd = await startSshd();
  proxy = await startTcpProxy(sshd.port);
  await writeFile(join(sshd.dataDir, 'large'), Buffer.alloc(largeBytes, 'x'));
  for (let at = 0; at < 200; at += 1) {
    await mkdir(join(sshd.dataDir, `d${at}`));
    await writeFile(join(sshd.dataDir, `d${at}`, 'file'), 'small');
  }
  const target = targetOf(sshd, { port: proxy.port });
  session = await testSftpConnector({ keepaliveMs: 1000, keepaliveCount: 3 }).connect(
    target,
    { private_key: sshd.privateKey },
    signal,
  );
});

afterEach(async () => {
  sshd?.signalSessions('SIGCONT');
  await session?.close();
  await proxy?.close();
  await sshd?.stop();
});

const losses: [string, () => void][] = [
  ['the processes of the server are killed', () => sshd.signalSessions('SIGKILL')],
  ['the connection is reset', () => proxy.cut()],
  ['the network goes silent', () => proxy.stall()],
  ['the server is stopped', () => sshd.signalSessions('SIGSTOP')],
];

test.each(losses)('%s in the middle of a large file', async (_, lose) => {
  const entry = entryAt(await listAll(session, signal), 'large');
  let lost = false;
  const reading = readLarge(session, entry, signal, () => {
    if (!lost) lose();
    lost = true;
  });
  await expect(reading).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  // Whatever is asked for afterwards fails too, at once.
  await expect(session.readMany([entry], signal)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await expect(session.open(entry, signal)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
});

test.each(losses)('%s while small files are read', async (_, lose) => {
  const files = (await listAll(session, signal)).entries.filter(({ path }) => path.toString().endsWith('/file'));
  proxy.setLatencyMs(20);
  const reading = session.readMany(files, signal);
  lose();
  await expect(reading).rejects.toMatchObject({ code: 'SOURCE_LOST' });
});

test.each(losses)('%s during the listing', async (_, lose) => {
  proxy.setLatencyMs(10);
  let seen = 0;
  const listing = (async () => {
    for await (const item of session.list({ oneFileSystem: false, signal })) {
      seen += 1;
      if (item.path.toString() === 'd0') lose();
    }
  })();
  await expect(listing).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  expect(seen).toBeGreaterThan(0);
});

test('cancelling ends a read that gets no answer, with the reason, and the session goes on', async () => {
  const listed = await listAll(session, signal);
  const entry = entryAt(listed, 'large');
  const cancel = new AbortController();
  const reason = new Error('cancelled by the test');
  proxy.stall();
  const reading = session.readMany([entryAt(listed, 'd0/file')], cancel.signal);
  const opening = session.open(entry, cancel.signal);
  cancel.abort(reason);
  await expect(reading).rejects.toBe(reason);
  await expect(opening).rejects.toBe(reason);
  proxy.resume();
  const { data } = await readLarge(session, entry, signal);
  expect(data.length).toBe(largeBytes);
});

test('a server whose SFTP process alone is stopped is lost too, although SSH still answers', async () => {
  const target = targetOf(sshd);
  const stalling = await testSftpConnector({ stallMs: 1500 }).connect(target, { private_key: sshd.privateKey }, signal);
  const entry = entryAt(await listAll(stalling, signal), 'large');
  // The processes of each connection: the monitor, the one that speaks SSH, and below it the one that serves SFTP.
  sshd.signalLeaves('SIGSTOP');
  await expect(stalling.readMany([entry], signal)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await stalling.close();
});

test('latency slows small files down no more than the files in flight allow', async () => {
  const files = (await listAll(session, signal)).entries.filter(({ path }) => path.toString().endsWith('/file'));
  proxy.setLatencyMs(10);
  const results = await session.readMany(files, signal);
  expect(results.filter((result) => result.ok && result.data.toString() === 'small')).toHaveLength(200);
});
