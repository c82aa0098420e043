import { once } from 'node:events';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { startSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { expectDiscreet } from './sync-faults.test-kit.ts';
import { disk, jobOf, overSftp, overWebdav } from './sync-places.test-kit.ts';

let platform: SyncPlatform;
let webdav: TestWebdav;
let front: Server;
let breaks: (path: string) => boolean;
const names = ['a.txt', 'b.txt', 'broken.bin', 'c.txt'];

beforeAll(async () => {
  [platform, webdav] = await Promise.all([makeSyncPlatform(), startWebdav()]);
  front = createServer((near, answer) => void passOn(near, answer).catch(() => answer.destroy())).listen(
    0,
    '127.0.0.1',
  );
  await once(front, 'listening');
});
afterAll(async () => {
  front.close();
  front.closeAllConnections();
  await Promise.all([platform?.remove(), webdav?.stop()]);
});

/** The server's answers, but that what breaks does so before its first byte, whenever it is read. */
async function passOn(near: IncomingMessage, answer: ServerResponse): Promise<void> {
  const { method, url = '', headers } = near;
  const sent = request({ host: '127.0.0.1', port: webdav.port, method, path: url, headers });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  await pipeline(near, sent);
  const [theirs] = await answered;
  answer.writeHead(theirs.statusCode ?? 500, theirs.headers);
  if (method !== 'GET' || !breaks(url)) return pipeline(theirs, answer);
  theirs.destroy();
  answer.flushHeaders();
  setTimeout(() => answer.destroy(), 20);
}

beforeEach(async () => {
  for (const name of names) await writeFile(join(webdav.dataDir, name), name);
});
afterEach(async () => {
  for (const name of names) await rm(join(webdav.dataDir, name));
});

const job = () => jobOf(overWebdav(webdav, { url: `http://127.0.0.1:${(front.address() as AddressInfo).port}/` }));

it('an item that breaks whenever it is read is a warning; the rest is backed up', async () => {
  const running = job();
  breaks = (path) => path.endsWith('/broken.bin');
  const { result, told } = await platform.backup(running);
  expect(told.events.filter(({ type }) => type === 'warning').map(({ params }) => params.item)).toEqual(['broken.bin']);
  expect(told.events.at(-1)).toMatchObject({ type: 'summary', code: 'COMPLETED_WARNING' });
  expectDiscreet(platform, told, [webdav.password]);
  expect(result.snapshot.file_count).toBe(3);
  breaks = () => false;
  expect((await platform.backup(running)).result.snapshot.file_count).toBe(4);
});

it('an older copy of it stays', async () => {
  const running = job();
  breaks = () => false;
  expect((await platform.backup(running)).result.snapshot.file_count).toBe(4);
  await writeFile(join(webdav.dataDir, 'broken.bin'), 'changed meanwhile');
  breaks = (path) => path.endsWith('/broken.bin');
  const { result, told } = await platform.backup(running);
  expect(told.warnings).toBe(1);
  expect(result.snapshot).toMatchObject({ file_count: 4, source_bytes: names.join('').length });
});

it('a source of which most things break is at fault itself', async () => {
  breaks = (path) => !path.endsWith('/a.txt');
  const { error } = await platform.failedBackup(job());
  expect(error).toMatchObject({ code: 'SOURCE_LOST', retryable: true });
});

it('a connection that keeps breaking is no broken item', async () => {
  const sshd = await startSshd();
  const proxy = await startTcpProxy(sshd.port);
  const folder = await mkdtemp(join(sshd.dataDir, 'cut-'));
  await writeFile(join(folder, 'a.txt'), 'a');
  await writeFile(join(folder, 'big.bin'), Buffer.alloc(24 * 1024 * 1024));
  for (const name of ['', 'a.txt', 'big.bin']) await chown(join(folder, name), sshd.user.uid, sshd.user.gid);
  const slowly = { bandwidth_limit_bps: 4 * 1024 * 1024 };
  const running = jobOf(overSftp(sshd, { port: proxy.port, path: folder }), disk, { options: slowly });
  const failing = platform.failedBackup(running);
  const cutting = setInterval(() => proxy.cut(), 1000);
  try {
    expect((await failing).error).toMatchObject({ code: expect.stringMatching(/^SOURCE_/), retryable: true });
  } finally {
    clearInterval(cutting);
    await proxy.close();
    await sshd.stop();
  }
});
