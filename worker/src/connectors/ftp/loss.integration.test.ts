import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { entryAt, listAll, readLarge, readOne } from '../../testing/sources.ts';
import type { SourceSession } from '../connector.ts';
import { configOf, never, testFtpConnector } from './ftp.test-kit.ts';

// Each of these would hang for ever if a loss went unnoticed; the runner's own limit is what says so.
const MiB = 1024 * 1024;
const content = randomBytes(48 * MiB);
let server: TestVsftpd;
let session: SourceSession;
const connector = testFtpConnector({ timeouts: { connectMs: 2_000, loginMs: 5_000, stallMs: 1_500 } });
const connectTo = (port: number) =>
  connector.connect({ ...configOf(server), port }, { password: server.password }, never);

beforeEach(async () => {
  server = await startVsftpd();
  await writeFile(join(server.dataDir, 'large'), content);
  for (let at = 0; at < 60; at += 1) {
    await mkdir(join(server.dataDir, `d${at}`));
    await writeFile(join(server.dataDir, `d${at}`, 'file'), `small ${at}`);
  }
  session = await connectTo(server.port);
});
afterEach(async () => {
  await session?.close();
  await server?.stop();
});

test.each(['SIGKILL', 'SIGSTOP'] as const)(
  'a large file goes on where it broke off: %s of the server’s side',
  async (signal) => {
    const entry = entryAt(await listAll(session, never), 'large');
    let losses = 0;
    const read = await readLarge(session, entry, never, async (bytes) => {
      if (bytes < (losses + 1) * 12 * MiB || losses === 2) return;
      losses += 1;
      server.signalSessions(signal);
    });
    expect(losses).toBe(2);
    expect(read.data.equals(content)).toBe(true);
    expect(read.changed).toBe(false);
    expect(await server.log()).toMatch(/"REST \d{7,}"/);
  },
);

test('what changed meanwhile is gone on with, and said', async () => {
  const entry = entryAt(await listAll(session, never), 'large');
  let lost = false;
  const read = await readLarge(session, entry, never, async (bytes) => {
    if (lost || bytes < 8 * MiB) return;
    lost = true;
    await appendFile(join(server.dataDir, 'large'), 'more');
    server.signalSessions('SIGKILL');
  });
  expect(read.data.equals(content)).toBe(true);
  expect(read.changed).toBe(true);
});

test('small files and listings are asked for again', async () => {
  const files = (await listAll(session, never)).entries.filter(({ path }) => String(path).endsWith('/file'));
  const reading = session.readMany(files, never);
  server.signalSessions('SIGKILL');
  const results = await reading;
  expect(results.map((result) => result.ok && result.data.toString()).sort()).toEqual(
    Array.from({ length: 60 }, (_, at) => `small ${at}`).sort(),
  );
  let seen = 0;
  for await (const item of session.list({ oneFileSystem: false, signal: never })) {
    if (String(item.path) === 'd1') server.signalSessions('SIGKILL');
    seen += 1;
  }
  expect(seen).toBe(122);
});

test('a server that stays away is lost', async () => {
  const listed = await listAll(session, never);
  const entry = entryAt(listed, 'large');
  let stopped = false;
  const reading = readLarge(session, entry, never, async () => {
    if (!stopped) await server.kill();
    stopped = true;
  });
  await expect(reading).rejects.toMatchObject({ code: expect.stringMatching(/^SOURCE_(LOST|CONNECTION_REFUSED)$/) });
  await expect(session.readMany([entryAt(listed, 'd1/file')], never)).rejects.toMatchObject({
    code: 'SOURCE_CONNECTION_REFUSED',
  });
});

test('cancelling ends what gets no answer, with the reason', async () => {
  const listed = await listAll(session, never);
  const cancel = new AbortController();
  const reason = new Error('cancelled by the test');
  server.signalSessions('SIGSTOP');
  const reading = session.readMany([entryAt(listed, 'd1/file')], cancel.signal);
  cancel.abort(reason);
  await expect(reading).rejects.toBe(reason);
});

test('data connections that end too early, with all reported well, are noticed', async () => {
  // The first bytes of each transfer alone come through; the server has sent all of them and says so.
  const cutting = await startCuttingProxy(server.port, 5 * MiB);
  const cut = await connectTo(cutting.port);
  const listed = await listAll(cut, never);
  const read = await readLarge(cut, entryAt(listed, 'large'), never);
  expect(read.data.equals(content)).toBe(true);
  await cut.close();

  cutting.passBytes(3);
  const stingy = await connectTo(server.port);
  const entry = entryAt(await listAll(stingy, never), 'd1/file');
  await stingy.close();
  const cutAgain = await connectTo(cutting.port);
  expect(await readOne(cutAgain, entry, never)).toMatchObject({ ok: false, skipped: { skipped: 'ITEM_UNREADABLE' } });
  cutting.passBytes(0);
  await expect(readLarge(cutAgain, entryAt(listed, 'large'), never)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await cutAgain.close();
  await cutting.close();
});

/** Between client and server: control connections pass, of each data connection only the first bytes. */
async function startCuttingProxy(targetPort: number, firstBytes: number) {
  let limit = firstBytes;
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const listen = async (onConnection: (client: Socket) => void) => {
    const listener = createServer((client) => {
      sockets.add(client);
      client.on('error', () => undefined);
      onConnection(client);
    }).listen(0, '127.0.0.1');
    servers.push(listener);
    await once(listener, 'listening');
    return (listener.address() as AddressInfo).port;
  };
  const upstreamTo = (port: number) => {
    const upstream = dial(port, '127.0.0.1');
    sockets.add(upstream);
    upstream.on('error', () => undefined);
    return upstream;
  };
  const dataProxy = (port: number) =>
    listen((client) => {
      let left = limit;
      const upstream = upstreamTo(port);
      upstream.on('data', (chunk: Buffer) => {
        const passed = chunk.subarray(0, left);
        left -= passed.length;
        if (passed.length > 0) client.write(passed);
        if (left === 0) client.end();
      });
      upstream.on('end', () => client.end());
    });
  const port = await listen((client) => {
    const upstream = upstreamTo(targetPort);
    let replies = Promise.resolve();
    client.on('data', (chunk) => upstream.write(chunk));
    upstream.on('data', (chunk: Buffer) => {
      replies = replies.then(async () => {
        const text = chunk.toString('latin1');
        const dataPort = /\(\|\|\|(\d+)\|\)/.exec(text)?.[1];
        client.write(
          dataPort === undefined ? chunk : text.replace(dataPort, String(await dataProxy(Number(dataPort)))),
        );
      });
    });
    client.on('close', () => upstream.destroy());
  });
  return {
    port,
    passBytes(bytes: number) {
      limit = bytes;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      for (const listener of servers) listener.close();
    },
  };
}
