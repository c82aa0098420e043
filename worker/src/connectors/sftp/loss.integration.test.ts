import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy, type TcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { targetOf, testSftpConnector, testSshOptions } from '../../testing/sftp-client.ts';
import { entryAt, listAll, readLarge } from '../../testing/sources.ts';
import type { SourceEntry, SourceSession } from '../connector.ts';
import { createSftpConnector } from './connector.ts';

// Each of these would hang for ever if a loss went unnoticed; the runner's own limit is what says so.
const { signal } = new AbortController();
const largeBytes = 64 * 1024 * 1024;
const large = randomBytes(largeBytes);
let sshd: TestSshd;
let proxy: TcpProxy;
let session: SourceSession;

beforeEach(async () => {
  sshd = await startSshd();
  proxy = await startTcpProxy(sshd.port);
  await writeFile(join(sshd.dataDir, 'large'), large);
  for (let at = 0; at < 200; at += 1) {
    await mkdir(join(sshd.dataDir, `d${at}`));
    await writeFile(join(sshd.dataDir, `d${at}`, 'file'), 'small');
  }
  const target = targetOf(sshd, { port: proxy.port });
  session = await testSftpConnector({ keepaliveMs: 500, keepaliveCount: 3, handshakeMs: 3000 }).connect(
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

/** After these the server can be reached again. */
const breaks: [string, () => void][] = [
  ['the processes of the server are killed', () => sshd.signalSessions('SIGKILL')],
  ['the connection is reset', () => proxy.cut()],
  ['the server is stopped', () => sshd.signalSessions('SIGSTOP')],
];
/** After these it cannot. */
const ends: [string, () => void][] = [
  ['the network goes silent', () => proxy.stall()],
  ['the network is gone', () => void proxy.close()],
];

function smallFiles(entries: readonly SourceEntry[]): SourceEntry[] {
  return entries.filter(({ path }) => path.toString().endsWith('/file'));
}

async function readWhile(happens: () => void): Promise<Awaited<ReturnType<typeof readLarge>>> {
  const entry = entryAt(await listAll(session, signal), 'large');
  let done = false;
  return readLarge(session, entry, signal, () => {
    if (!done) happens();
    done = true;
  });
}

test.each(breaks)('%s in the middle of a large file: it is read on where it broke', async (_, happens) => {
  const received = proxy.bytesToClients();
  const { data, changed } = await readWhile(happens);
  expect(changed).toBe(false);
  expect(data.length).toBe(largeBytes);
  expect(data.equals(large)).toBe(true);
  expect(session.describe?.()).toMatchObject({ connections_lost: 1 });
  // Beside what was on its way, nothing came twice.
  expect(proxy.bytesToClients() - received).toBeLessThan(largeBytes * 1.5);
});

test.each(breaks)('%s while small files are read: all of them come', async (_, happens) => {
  const files = smallFiles((await listAll(session, signal)).entries);
  proxy.setLatencyMs(20);
  const reading = session.readMany(files, signal);
  happens();
  const results = await reading;
  expect(results.filter((result) => result.ok && result.data.toString() === 'small')).toHaveLength(200);
  expect(session.describe?.()).toMatchObject({ connections_lost: 1 });
});

test.each(breaks)('%s during the listing: nothing is missing or twice', async (_, happens) => {
  const before = (await listAll(session, signal)).paths.map(String);
  proxy.setLatencyMs(10);
  const seen: string[] = [];
  for await (const item of session.list({ oneFileSystem: false, signal })) {
    seen.push(item.path.toString());
    if (item.path.toString() === 'd0') happens();
  }
  expect(seen).toEqual(before);
});

test.each(ends)('%s for good: that is the end, also of what is asked for later', async (_, happens) => {
  const entry = entryAt(await listAll(session, signal), 'large');
  await expect(readWhile(happens).then(({ data }) => data.length)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await expect(session.readMany([entry], signal)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await expect(session.open(entry, signal)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
});

test('a file that changed while the connection was broken ends where it was and is told as changed', async () => {
  const path = join(sshd.dataDir, 'large');
  const read = await readWhile(() => {
    writeFileSync(path, 'other');
    proxy.cut();
  });
  expect(read.changed).toBe(true);
  expect(read.sizeBytes).toBe(largeBytes);
  expect(read.data.equals(large.subarray(0, read.data.length))).toBe(true);
});

test('a server that comes back with another key is not read on', async () => {
  // New keys take their time on a busy machine.
  const patient = createSftpConnector({
    ...testSshOptions(),
    reconnect: { delaysMs: [50, 500, 2000, 5000, 10_000, 20_000] },
  });
  const target = targetOf(sshd, { port: proxy.port });
  await session.close();
  session = await patient.connect(target, { private_key: sshd.privateKey }, signal);
  let restarting: Promise<void> | undefined;
  const received = readWhile(() => {
    restarting = sshd.restartWithNewHostKey();
  });
  await expect(received.then(({ data }) => data.length)).rejects.toMatchObject({ code: 'SSH_HOST_KEY_CHANGED' });
  await restarting;
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

test('a server whose SFTP process alone is stopped is connected again, although SSH still answers', async () => {
  const target = targetOf(sshd);
  const stalling = await testSftpConnector({ stallMs: 1500 }).connect(target, { private_key: sshd.privateKey }, signal);
  const [entry] = smallFiles((await listAll(stalling, signal)).entries);
  if (!entry) throw new Error('no file');
  // The processes of each connection: the monitor, the one that speaks SSH, and below it the one that serves SFTP.
  sshd.signalLeaves('SIGSTOP');
  expect(await stalling.readMany([entry], signal)).toMatchObject([{ ok: true, data: Buffer.from('small') }]);
  expect(stalling.describe?.()).toMatchObject({ connections_lost: 1 });
  await stalling.close();
});

test('latency slows small files down no more than the files in flight allow', async () => {
  const files = smallFiles((await listAll(session, signal)).entries);
  proxy.setLatencyMs(10);
  const results = await session.readMany(files, signal);
  expect(results.filter((result) => result.ok && result.data.toString() === 'small')).toHaveLength(200);
});
