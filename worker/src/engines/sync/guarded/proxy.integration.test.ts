import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificate } from '@xvault/shared/testing/certificate.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { createAddressGuard } from '../../../net/guard.ts';
import { proxyTo, serveHttp, serveTcp, type TestProxy, type TestServer } from './proxy.test-kit.ts';

const open: { stop?: () => Promise<void>; close?: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const { stop, close } of open.splice(0).reverse()) await (stop ?? close)?.();
});

function kept<T extends TestServer | TestProxy>(opened: T): T {
  open.push(opened);
  return opened;
}

async function around(listener: Parameters<typeof serveHttp>[0], more?: Parameters<typeof proxyTo>[1]) {
  const server = kept(await serveHttp(listener));
  return { server, proxy: kept(await proxyTo(`http://127.0.0.1:${server.port}`, more)) };
}

/** Answers each connection with the same bytes, whatever it is asked. */
async function aroundBytes(answer: string, end = false) {
  const server = kept(
    await serveTcp((socket) => {
      socket.on('data', () => {
        socket.write(answer, 'latin1');
        if (end) socket.end();
      });
    }),
  );
  return kept(await proxyTo(`http://127.0.0.1:${server.port}`));
}

describe('what is passed on', () => {
  it('is the request as it was, but for what is the proxy’s', async () => {
    const { server, proxy } = await around(async (request, response) => {
      const body = await buffer(request);
      response.setHeader('X-Seen', JSON.stringify([request.method, request.url, request.rawHeaders, body.toString()]));
      response.end('done');
    });
    const path = "/a%2Fb/./%2e%2e/it's?x=%20&y=|";
    const headers = { Destination: 'http://source.xvault.invalid/c', Referer: 'http://source.xvault.invalid' };
    const answer = await proxy.ask(path, { method: 'MOVE', body: 'body', headers });
    const [method, url, raw, body] = JSON.parse(String(answer.headers['x-seen'])) as [string, string, string[], string];
    expect([method, url, body]).toEqual(['MOVE', path, 'body']);
    const seen = new Map(raw.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), raw[at + 1]]] : [])));
    const own = `127.0.0.1:${server.port}`;
    expect(seen.get('host')).toBe(own);
    expect(seen.get('destination')).toBe(`http://${own}/c`);
    expect(seen.get('referer')).toBe(`http://${own}`);
    expect(seen.has('proxy-authorization')).toBe(false);
  });

  it('keeps the host that was signed', async () => {
    const { proxy } = await around((request, response) => void response.end(request.headers.host), { signsHost: true });
    expect((await proxy.ask('/')).body.toString()).toBe('source.xvault.invalid');
  });

  it('is an answer of any kind', async () => {
    const { server, proxy } = await around((request, response) => {
      const { pathname } = new URL(request.url ?? '', 'http://x');
      if (pathname === '/chunks') {
        response.writeHead(200, { Trailer: 'X-Sum' });
        for (const part of ['a', 'bc', 'def']) response.write(part);
        response.addTrailers({ 'X-Sum': '6' });
        return void response.end();
      }
      const status = Number(pathname.slice(1));
      response.writeHead(status, { 'X-Own': 'ü', 'Set-Cookie': ['a=1', 'b=2'], ETag: '"e"' });
      response.end(status === 200 ? 'hello' : undefined);
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const chunks = await proxy.ask('/chunks', { agent });
    expect([chunks.body.toString(), chunks.trailers['x-sum']]).toEqual(['abcdef', '6']);
    for (const status of [200, 204, 304, 404, 500, 503]) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await proxy.ask(`/${status}`, { agent, method });
        expect(answer.status).toBe(status);
        expect(answer.headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], etag: '"e"' });
        expect(answer.body.toString()).toBe(status === 200 && method === 'GET' ? 'hello' : '');
      }
    }
    agent.destroy();
    expect(server.connections()).toBe(1);
  });

  it('is a length that HEAD tells', async () => {
    const proxy = await aroundBytes('HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n');
    expect((await proxy.ask('/', { method: 'HEAD' })).headers['content-length']).toBe('12345');
  });

  it('is much, in both directions and many at a time, byte for byte', async () => {
    const { server, proxy } = await around((request, response) => {
      response.writeHead(200, { 'content-length': Number(request.headers['content-length'] ?? 0) });
      request.pipe(response);
    });
    const agent = new Agent({ keepAlive: true });
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(
        Array.from({ length: 8 }, async (_, at) => {
          const body = randomBytes(1_000_003 * (at + 1));
          const answer = await proxy.ask('/', { method: 'PUT', body, agent });
          expect(answer.body.equals(body)).toBe(true);
        }),
      );
    }
    agent.destroy();
    expect(server.connections()).toBeLessThanOrEqual(8);
  });

  it('waits for who reads slowly, and for who takes slowly', async () => {
    let given = 0;
    const { proxy } = await around((_, response) => {
      const more = () => {
        while (given < 64 * 1024 * 1024) {
          given += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    let atPause = 0;
    const answer = await proxy.ask('/', {
      async onAnswer() {
        await sleep(500);
        atPause = given;
      },
    });
    expect(answer.body.length).toBe(64 * 1024 * 1024);
    // What lies in buffers of the system on the way, and no more.
    expect(atPause).toBeLessThan(40 * 1024 * 1024);
  });

  it('is the word to go on before a body is sent', async () => {
    const { proxy } = await around(async (request, response) => {
      response.end(String((await buffer(request)).length));
    });
    const answer = await proxy.ask('/', { method: 'PUT', body: 'x'.repeat(100), headers: { expect: '100-continue' } });
    expect(answer.body.toString()).toBe('100');
  });

  it('is an answer that comes before the request is all there', async () => {
    const server = kept(
      await serveTcp((socket) => {
        socket.once('data', () => {
          socket.resume();
          socket.write('HTTP/1.1 413 Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much');
        });
      }),
    );
    const proxy = kept(await proxyTo(`http://127.0.0.1:${server.port}`));
    const answer = await proxy.ask('/', { method: 'PUT', body: randomBytes(3_000_000) });
    expect([answer.status, answer.body.toString()]).toEqual([413, 'too much']);
  });

  it('is an answer that ends with the connection', async () => {
    const proxy = await aroundBytes('HTTP/1.0 200 OK\r\n\r\nall of it', true);
    const answer = await proxy.ask('/');
    expect([answer.body.toString(), answer.headers['transfer-encoding']]).toEqual(['all of it', 'chunked']);
  });
});

describe('what breaks', () => {
  it.each([
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n'],
    ['a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
    ['nothing at all', ''],
  ])('is never whole: %s', async (_, answer) => {
    const proxy = await aroundBytes(answer, true);
    await expect(proxy.ask('/')).rejects.toThrow();
  });

  it('an answer without a length that is cut off by a reset is none', async () => {
    const server = kept(
      await serveTcp((socket) => {
        socket.once('data', () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\npart', () => setTimeout(() => socket.resetAndDestroy(), 100));
        });
      }),
    );
    const proxy = kept(await proxyTo(`http://127.0.0.1:${server.port}`));
    await expect(proxy.ask('/')).rejects.toThrow();
  });

  it.each([
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\npart5',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
    'HTTP/1.1 302 Found\r\n Location: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`,
    'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50),
  ])('is what could be read in two ways: %j', async (answer) => {
    const proxy = await aroundBytes(answer);
    await expect(proxy.ask('/')).rejects.toThrow();
    expect(proxy.notes[0]).toContain('BadMessage');
  });

  it('takes nothing that a server says unasked for the next answer', async () => {
    const proxy = await aroundBytes(
      `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n`,
    );
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = 0; turn < 4; turn += 1) {
      const answer = await proxy.ask('/', { agent });
      expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
    }
    agent.destroy();
  });

  it('a connection that the server closed while idle is no failure', async () => {
    const { server, proxy } = await around((_, response) => void response.end('here'));
    const agent = new Agent({ keepAlive: true });
    await proxy.ask('/', { agent });
    for (const socket of server.sockets) socket.destroy();
    expect((await proxy.ask('/', { agent })).body.toString()).toBe('here');
    // The server closes as the request comes: it is asked once more.
    const late = kept(
      await serveTcp((socket) => {
        let asked = 0;
        socket.on('data', () => {
          asked += 1;
          if (asked === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx');
          else socket.destroy();
        });
      }),
    );
    const other = kept(await proxyTo(`http://127.0.0.1:${late.port}`));
    for (let turn = 0; turn < 3; turn += 1) expect((await other.ask('/', { agent })).body.toString()).toBe('x');
    await expect(other.ask('/', { agent, method: 'DELETE' })).rejects.toThrow();
    agent.destroy();
  });

  it('who asked and left is left by the server too', async () => {
    const { server, proxy } = await around((request, response) => {
      request.on('error', () => undefined);
      response.writeHead(200, { 'content-length': 10 });
      response.write('begun');
    });
    const stop = new AbortController();
    const asking = proxy.ask('/', { signal: stop.signal, onAnswer: () => stop.abort() });
    await expect(asking).rejects.toThrow();
    await until('the server to be left', () => server.sockets.size === 0);
    const uploading = new AbortController();
    const sending = connect(proxy.port, '127.0.0.1');
    const { username, password } = new URL(proxy.url);
    const authorization = Buffer.from(`${username}:${password}`).toString('base64');
    sending.write(
      `PUT http://source.xvault.invalid/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic ${authorization}\r\nContent-Length: 1000\r\n\r\npart`,
    );
    await until('the server to be asked', () => server.sockets.size === 1);
    sending.destroy();
    await until('the server to be left', () => server.sockets.size === 0);
    uploading.abort();
    expect(proxy.refusal()).toBeNull();
  });
});

describe('where nothing leads to', () => {
  const locations = (port: number) => [
    `http://127.0.0.1:${port}/`,
    `http://localhost:${port}/`,
    `http://[::1]:${port}/`,
    `//127.0.0.1:${port}/`,
    `/\\127.0.0.1:${port}/`,
    'http://elsewhere.example/',
    'file:///etc/passwd',
  ];

  it('is another server, by any answer', async () => {
    const canary = kept(await serveHttp((_, response) => void response.end('reached')));
    for (const status of [300, 301, 302, 303, 307, 308, 399]) {
      for (const location of locations(canary.port)) {
        const { proxy } = await around((request, response) => {
          request.resume();
          response.writeHead(status, { Location: location }).end();
        });
        const answer = await proxy.ask('/x?signature=secret', { method: 'PUT', body: 'x'.repeat(100_000) });
        expect([answer.status, answer.headers.location], location).toEqual([421, undefined]);
        expect(answer.body.toString()).not.toContain('127.0.0.1');
        expect(proxy.refusal()).toMatchObject({ code: 'SOURCE_REDIRECT_REFUSED', retryable: false });
        expect(proxy.refusal()?.detail).not.toContain('secret');
      }
    }
    expect(canary.connections()).toBe(0);
  });

  it('is one of two places that an answer names', async () => {
    const proxy = await aroundBytes(
      'HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n',
    );
    expect((await proxy.ask('/')).status).toBe(421);
  });

  it('is a place in an answer that is no redirect', async () => {
    const { proxy } = await around((_, response) => {
      response.writeHead(201, { Location: 'http://127.0.0.1:1/' }).end();
    });
    const answer = await proxy.ask('/', { method: 'PUT' });
    expect([answer.status, answer.headers.location]).toEqual([201, undefined]);
    expect(proxy.refusal()).toBeNull();
  });

  it('is not the server itself', async () => {
    const { server, proxy } = await around((request, response) => {
      const to = decodeURIComponent((request.url ?? '').slice(1));
      if (to === '') response.end('there');
      else response.writeHead(307, { Location: to }).end();
    });
    for (const location of ['/', `http://127.0.0.1:${server.port}/`, `https://127.0.0.1:${server.port}/`]) {
      const answer = await proxy.ask(`/${encodeURIComponent(location)}`);
      expect([answer.status, answer.headers.location]).toEqual([307, 'http://source.xvault.invalid/']);
    }
    expect(proxy.refusal()).toBeNull();
  });

  it('is any server that is not of the run', async () => {
    const { proxy } = await around((_, response) => void response.end('own'));
    const canary = kept(await serveHttp((_, response) => void response.end('reached')));
    const { username, password } = new URL(proxy.url);
    const authorization = `Proxy-Authorization: Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const requests = [
      `GET http://127.0.0.1:${canary.port}/ HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`,
      `GET http://x@127.0.0.1:${canary.port}/ HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`,
      `GET http://source.xvault.invalid:81/ HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`,
      `CONNECT 127.0.0.1:${canary.port} HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`,
      `CONNECT source.xvault.invalid:80 HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`,
    ];
    for (const text of requests) expect(await spoken(proxy.port, text), text).toMatch(/^HTTP\/1\.1 421 /);
    expect(proxy.refusal()).toMatchObject({ code: 'SOURCE_ADDRESS_FORBIDDEN' });
    const unknown = `GET http://source.xvault.invalid/ HTTP/1.1\r\nHost: x\r\n\r\n`;
    expect(await spoken(proxy.port, unknown)).toMatch(/^HTTP\/1\.1 407 /);
    expect(
      await spoken(proxy.port, unknown.replace('\r\n\r\n', '\r\nProxy-Authorization: Basic eDp5\r\n\r\n')),
    ).toMatch(/^HTTP\/1\.1 407 /);
    expect(canary.connections()).toBe(0);
  });

  it('is an address that the guard forbids', async () => {
    const { server, proxy } = await around((_, response) => void response.end('own'), {
      guard: createAddressGuard({ allow: [] }),
    });
    expect((await proxy.ask('/')).status).toBe(421);
    expect(proxy.refusal()).toMatchObject({ code: 'SOURCE_ADDRESS_FORBIDDEN' });
    expect(server.connections()).toBe(0);
  });

  it('but a provider’s servers, as far as the guard allows', async () => {
    const { proxy } = await around((_, response) => void response.end('own'), { opensTunnels: true });
    const other = kept(
      await serveHttp(
        (_, response) => void response.writeHead(200, { connection: 'close', 'content-length': 3 }).end('its'),
      ),
    );
    const { username, password } = new URL(proxy.url);
    const authorization = `Proxy-Authorization: Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const tunnel = (host: string) => `CONNECT ${host}:${other.port} HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`;
    const said = await spoken(proxy.port, `${tunnel('127.0.0.1')}GET / HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(said).toMatch(/^HTTP\/1\.1 200 Connection Established\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*its$/);
    expect(await spoken(proxy.port, tunnel('[::1]'))).toMatch(/^HTTP\/1\.1 502 /);
    expect(proxy.refusal()).toMatchObject({ code: 'SOURCE_ADDRESS_FORBIDDEN' });
  });
});

describe('a server with TLS', () => {
  it('is spoken to by the proxy, if it proves who it is', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xvault-proxy-tls-'));
    try {
      const certificate = await makeCertificate(folder, ['127.0.0.1']);
      const [key, cert] = await Promise.all([readFile(certificate.keyFile), readFile(certificate.certFile)]);
      const server = kept(
        await serveHttp(async (request, response) => {
          const body = await buffer(request);
          response.end(body);
        }, createHttpsServer({ key, cert })),
      );
      const url = `https://127.0.0.1:${server.port}`;
      const trusting = kept(await proxyTo(url, { caPem: certificate.certPem }));
      const agent = new Agent({ keepAlive: true });
      for (let turn = 0; turn < 3; turn += 1) {
        const body = randomBytes(3_000_001);
        expect((await trusting.ask('/', { method: 'PUT', body, agent })).body.equals(body)).toBe(true);
      }
      agent.destroy();
      expect(server.connections()).toBe(1);

      const doubting = kept(await proxyTo(url));
      expect((await doubting.ask('/')).status).toBe(421);
      expect(doubting.refusal()).toMatchObject({ code: 'SOURCE_TLS_FAILED' });
      const elsewhere = kept(await proxyTo(url.replace('127.0.0.1', '127.0.0.2'), { caPem: certificate.certPem }));
      await expect(elsewhere.ask('/')).rejects.toThrow();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is not one that speaks without', async () => {
    const server = kept(await serveHttp((_, response) => void response.end('plain')));
    const proxy = kept(await proxyTo(`https://127.0.0.1:${server.port}`));
    expect((await proxy.ask('/')).status).toBe(421);
    expect(proxy.refusal()).toMatchObject({ code: 'SOURCE_TLS_FAILED' });
  });

  it('and one that is not there is told as broken, to be tried again', async () => {
    const proxy = kept(await proxyTo(`https://127.0.0.1:${await freePort()}`));
    await expect(proxy.ask('/')).rejects.toThrow();
    expect(proxy.refusal()).toBeNull();
    expect(proxy.notes[0]).toContain('SOURCE_CONNECTION_REFUSED');
  });
});

it('closes all that it opened', async () => {
  const { server, proxy } = await around((_, response) => void response.write('never ends'));
  const asking = proxy.ask('/');
  asking.catch(() => undefined);
  await until('the request', () => server.sockets.size === 1);
  open.splice(open.indexOf(proxy), 1);
  await proxy.close();
  await expect(asking).rejects.toThrow();
  await until('the server to be left', () => server.sockets.size === 0);
});

/** All that is answered to these bytes until the connection is closed. */
async function spoken(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(text);
  const said: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => void said.push(chunk));
  const ended = once(socket, 'end');
  await ended;
  socket.destroy();
  return Buffer.concat(said).toString();
}
