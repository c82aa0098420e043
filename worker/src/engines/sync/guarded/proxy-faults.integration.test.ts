import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { makeCertificate, type TestCertificate } from '@xvault/shared/testing/certificate.ts';
import { findProgram } from '@xvault/shared/testing/find-program.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createAddressGuard } from '../../../net/guard.ts';
import { classify } from '../rclone/classify.ts';
import type { WebServer } from '../remotes/web.ts';
import { proxyTo, serveHttp, serveTcp, type TestProxy, type TestServer } from './proxy.test-kit.ts';
import { openGuardedProxy } from './proxy.ts';
import type { Role } from './routes.ts';

const open: { stop?: () => Promise<void>; close?: () => Promise<void> }[] = [];
let folder: string;
let certificate: TestCertificate;
let key: Buffer;
let cert: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xvault-proxy-faults-'));
  certificate = await makeCertificate(folder, ['127.0.0.1']);
  [key, cert] = await Promise.all([readFile(certificate.keyFile), readFile(certificate.certFile)]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const { stop, close } of open.splice(0).reverse()) await (stop ?? close)?.();
});

function kept<T extends TestServer | TestProxy | { close(): Promise<void> }>(opened: T): T {
  open.push(opened);
  return opened;
}

/** The first answer to a request of these bytes, and how it goes on. */
async function speak(proxy: TestProxy, text: string): Promise<{ said: string; socket: Socket }> {
  const { username, password } = new URL(proxy.url);
  const authorization = Buffer.from(`${username}:${password}`).toString('base64');
  const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.write(text.replace('\r\n\r\n', `\r\nProxy-Authorization: Basic ${authorization}\r\n\r\n`));
  let said = '';
  for await (const chunk of socket) said += chunk;
  return { said, socket };
}

describe('a final answer to who only asked whether to go on', () => {
  const put =
    'PUT http://source.xvault.invalid/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n';

  it.each(['Connection: close\r\n', ''])('is the last on its connection: %j', async (field) => {
    const server = kept(
      await serveTcp((socket) => {
        socket.once('data', () => socket.write(`HTTP/1.1 503 Slow Down\r\n${field}Content-Length: 4\r\n\r\nwait`));
      }),
    );
    const proxy = kept(await proxyTo(`http://127.0.0.1:${server.port}`));
    const { said, socket } = await speak(proxy, put);
    expect(said).toMatch(/^HTTP\/1\.1 503 Slow Down\r\n[\s\S]*Connection: close\r\n[\s\S]*wait$/);
    // It is not cut off under who is still sending.
    expect(socket.destroyed && socket.errored).toBeFalsy();
    socket.destroy();
  });

  it('rclone asks again at once, on another connection', async () => {
    const asked: string[] = [];
    const server = kept(
      await serveHttp((request, response) => {
        const { method = '', url = '' } = request;
        asked.push(`${method} ${url.replace(/\?.*/, '')}`);
        request.resume().on('end', () => response.end());
      }),
    );
    const refused = new Set<string>();
    const busy = createServer((socket) => {
      const to = connect(server.port, '127.0.0.1');
      for (const end of [socket, to]) end.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        const path = /^PUT ([^ ?]*)[\s\S]*Expect: 100-continue/i.exec(chunk.toString('latin1'))?.[1];
        if (path === undefined || refused.has(path)) return void to.write(chunk);
        refused.add(path);
        to.destroy();
        socket.end('HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      });
      to.on('data', (chunk: Buffer) => socket.write(chunk));
      socket.on('close', () => to.destroy());
      to.on('close', () => socket.end());
    });
    const port = await freePort();
    busy.listen(port, '127.0.0.1');
    const proxy = kept(await proxyTo(`http://127.0.0.1:${port}`, { signsHost: true }));
    try {
      const source = await mkdtemp(join(folder, 'up-'));
      await run('dd', ['if=/dev/zero', `of=${join(source, 'a')}`, 'bs=1M', 'count=3']);
      await run('cp', [join(source, 'a'), join(source, 'b')]);
      const way = ['--s3-endpoint=http://source.xvault.invalid', '--transfers=1', '--s3-no-head', '--no-check-dest'];
      await rclone(proxy, ['copy', source, ':s3:bucket', '--ignore-checksum', ...way]);
      expect([...refused].sort()).toEqual(['/bucket/a', '/bucket/b']);
      expect(asked.filter((each) => each.startsWith('PUT')).sort()).toEqual(['PUT /bucket/a', 'PUT /bucket/b']);
    } finally {
      busy.close();
    }
  });
});

describe('a server that cannot be connected to', () => {
  it('is told of in words that are understood, where rclone speaks TLS itself', async () => {
    const proxy = kept(await proxyTo('http://127.0.0.1:1', { opensTunnels: true }));
    const failed = rclone(proxy, ['lsf', ':s3:bucket', '--s3-endpoint=https://nobody.invalid']);
    const words = await failed.then(
      () => '',
      (error: Error) => error.message,
    );
    expect(classify(words).source, words).toBe('SOURCE_HOST_UNKNOWN');
    expect(proxy.dialError()).toMatchObject({ code: 'SOURCE_HOST_UNKNOWN' });
    const connecting = await speak(proxy, `CONNECT 127.0.0.1:${await freePort()} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(connecting.said).toMatch(/^HTTP\/1\.1 502 connection refused\r\n/);
  });

  it('is told of until it can be', async () => {
    const port = await freePort();
    const proxy = kept(await proxyTo(`http://127.0.0.1:${port}`));
    expect(proxy.dialError()).toBeNull();
    await expect(proxy.ask('/')).rejects.toThrow();
    expect(proxy.dialError()).toMatchObject({ code: 'SOURCE_CONNECTION_REFUSED' });
    expect(proxy.refusal()).toBeNull();
    const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    expect((await proxy.ask('/')).status).toBe(200);
    expect(proxy.dialError()).toBeNull();
    server.close();
  });
});

describe('over TLS', () => {
  it('an answer without a length is none: nothing vouches for its end', async () => {
    const server = createTlsServer({ key, cert }, (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nthe first half'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const proxy = kept(await proxyTo(`https://127.0.0.1:${port}`, { caPem: certificate.certPem }));
    await expect(proxy.ask('/')).rejects.toThrow();
    expect((await proxy.ask('/', { method: 'PROPFIND' })).body.toString()).toBe('the first half');
    server.close();
  });

  it('a server that was fine and is odd for once is tried again', async () => {
    let isOdd = false;
    const server = createHttpsServer({ key, cert });
    const honest = kept(await serveHttp((_, response) => response.setHeader('Connection', 'close').end('ok'), server));
    const front = kept(
      await serveTcp((socket) => {
        if (isOdd) return void socket.end('no TLS at all\r\n');
        const to = connect(honest.port, '127.0.0.1').on('error', () => socket.destroy());
        socket.on('data', (chunk: Buffer) => to.write(chunk)).on('close', () => to.destroy());
        to.on('data', (chunk: Buffer) => socket.write(chunk)).on('end', () => socket.end());
      }),
    );
    const url = `https://127.0.0.1:${front.port}`;
    const proxy = kept(await proxyTo(url, { caPem: certificate.certPem }));
    expect((await proxy.ask('/')).body.toString()).toBe('ok');
    isOdd = true;
    await expect(proxy.ask('/')).rejects.toThrow();
    expect(proxy.refusal()).toBeNull();
    expect(proxy.dialError()).toMatchObject({ code: 'SOURCE_UNREACHABLE', retryable: true });
    isOdd = false;
    expect((await proxy.ask('/')).body.toString()).toBe('ok');
    // One that was odd from the beginning speaks no TLS.
    isOdd = true;
    const other = kept(await proxyTo(url, { caPem: certificate.certPem }));
    expect((await other.ask('/')).status).toBe(421);
    expect(other.refusal()).toMatchObject({ code: 'SOURCE_TLS_FAILED' });
  });

  it('a certificate counts for the end that trusts it alone', async () => {
    const secure = () => createHttpsServer({ key, cert });
    const servers = [
      kept(await serveHttp((_, response) => void response.end('source'), secure())),
      kept(await serveHttp((_, response) => void response.end('destination'), secure())),
    ] as const;
    const end = (role: Role, { port }: TestServer, caPem: string | null) => {
      const url = `https://127.0.0.1:${port}`;
      const server: WebServer = { kind: 'server', url, option: 'url', label: null, signsHost: false, caPem };
      return { role, server };
    };
    const proxy = await openGuardedProxy({
      guard: createAddressGuard({ allow: ['127.0.0.0/8'] }),
      ends: [end('source', servers[0], certificate.certPem), end('destination', servers[1], null)],
      opensTunnels: false,
      note: () => undefined,
    });
    kept(proxy);
    const asked = { ...proxy, port: Number(new URL(proxy.url).port), notes: [], ask: () => Promise.reject() };
    const get = (role: Role) =>
      speak(asked, `GET ${proxy.urls.get(role)}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    void get('source').catch(() => undefined);
    expect((await get('destination')).said).toMatch(/^HTTP\/1\.1 421 /);
    expect(proxy.refusal()).toMatchObject({ code: 'STORAGE_TLS_FAILED', retryable: false });
  });
});

/** Throws with its words. */
async function rclone(proxy: TestProxy, args: readonly string[]): Promise<void> {
  const program = findProgram(['rclone']) ?? 'rclone';
  const flags = ['--s3-provider=Other', '--s3-access-key-id=a', '--s3-secret-access-key=b', '--s3-force-path-style'];
  const limits = [
    '--s3-no-check-bucket',
    '--config=/dev/null',
    '--retries=1',
    '--low-level-retries=2',
    '--timeout=20s',
  ];
  const way = `HTTP_PROXY=${proxy.url} HTTPS_PROXY=${proxy.url}`.split(' ');
  await run('env', ['-i', `HOME=${folder}`, ...way, program, ...args, ...flags, ...limits]);
}
