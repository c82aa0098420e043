import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createServer as createTlsServer } from 'node:tls';
import type { TestCertificate } from '@xvault/shared/testing/certificate.ts';
import type { AddressGuard } from '../net/guard.ts';

export interface Front {
  readonly port: number;
  /** Requests, or connections where it does not read them. */
  readonly asked: () => number;
  readonly sockets: ReadonlySet<Socket>;
  stop(): Promise<void>;
}

interface Listening {
  listen(options: { port: number; host: string }): unknown;
  on(event: 'connection', listener: (socket: Socket) => void): unknown;
  once(event: string, listener: () => void): unknown;
  address(): AddressInfo | string | null;
  close(): unknown;
}

async function started(server: Listening, asked: () => number, host = '127.0.0.1'): Promise<Front> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  });
  const listening = new Promise<void>((resolve) => server.once('listening', resolve));
  server.listen({ port: 0, host });
  await listening;
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    sockets,
    async stop() {
      const closed = new Promise<void>((resolve) => server.once('close', resolve));
      for (const socket of sockets) socket.destroy();
      server.close();
      await closed;
    },
  };
}

/** A service on this machine's loopback interface that nobody is to reach, by IPv4 and, where there is, by IPv6. */
export function startCanary(): Promise<Front> {
  let asked = 0;
  const server = createServer((_, response) => void response.end('reached'));
  server.on('connection', () => {
    asked += 1;
  });
  const hasIpv6 = networkInterfaces().lo?.some(({ family }) => family === 'IPv6') === true;
  return started(server, () => asked, hasIpv6 ? '::' : '127.0.0.1');
}

/** An address of this machine that is not loopback, where it has one. */
export function outerAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}

/** TLS in front of a server that has none: bytes in, bytes out. */
export async function startTlsFront({ keyFile, certFile }: TestCertificate, targetPort: number): Promise<Front> {
  let asked = 0;
  const server = createTlsServer({ key: await readFile(keyFile), cert: await readFile(certFile) }, (near) => {
    asked += 1;
    const far = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    Promise.allSettled([pipeline(near, far), pipeline(far, near)]).then(() => {
      near.destroy();
      far.destroy();
    });
  });
  server.on('tlsClientError', () => undefined);
  return started(server, () => asked);
}

/** What a server does instead of answering; null lets it answer. */
export type Redirect = (request: IncomingMessage) => { readonly status: number; readonly location: string } | null;

/** A server whose answers are those of another one, but for its redirects. */
export function startRedirecting(targetPort: number, redirect: Redirect, host?: string): Promise<Front> {
  let asked = 0;
  const server = createServer((near, response) => {
    asked += 1;
    const to = redirect(near);
    if (to === null) return void forward(near, response, targetPort).catch(() => response.destroy());
    near.resume();
    response.writeHead(to.status, { location: to.location, 'content-length': 0 }).end();
  });
  return started(server, () => asked, host);
}

async function forward(near: IncomingMessage, response: ServerResponse, port: number): Promise<void> {
  const { method, url, headers } = near;
  const sent = request({ host: '127.0.0.1', port, method, path: url, headers });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  await pipeline(near, sent);
  const [answer] = await answered;
  response.writeHead(answer.statusCode ?? 500, answer.headers);
  await pipeline(answer, response);
}

/** A WebDAV server of one directory, read only, that redirects as it likes. */
export function startDav(files: Readonly<Record<string, string>>, redirect: Redirect): Promise<Front> {
  let asked = 0;
  const server = createServer(async (near, response) => {
    asked += 1;
    await buffer(near);
    const to = redirect(near);
    if (to !== null) return void response.writeHead(to.status, { location: to.location }).end();
    const path = decodeURIComponent((near.url ?? '/').split('?')[0] ?? '/');
    const content = files[path.slice(1)];
    if (near.method === 'GET' && content !== undefined) return void response.end(content);
    if (near.method !== 'PROPFIND' || (path !== '/' && content === undefined))
      return void response.writeHead(404).end();
    const items = path === '/' ? ['', ...(near.headers.depth === '0' ? [] : Object.keys(files))] : [path.slice(1)];
    response.writeHead(207, { 'content-type': 'application/xml' });
    response.end(
      `<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">${items.map((name) => item(name, files[name])).join('')}</D:multistatus>`,
    );
  });
  return started(server, () => asked);
}

function item(name: string, content: string | undefined): string {
  const kind = content === undefined ? '<D:collection/>' : '';
  const size = content === undefined ? '' : `<D:getcontentlength>${content.length}</D:getcontentlength>`;
  return `<D:response><D:href>/${encodeURIComponent(name)}</D:href><D:propstat><D:prop><D:resourcetype>${kind}</D:resourcetype>${size}<D:getlastmodified>Sat, 21 Nov 2026 00:00:00 GMT</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`;
}

/** Names that nobody knows, for servers of the test: what has a name of its own goes another way than what is on loopback. */
export function named(guard: AddressGuard, ports: Readonly<Record<string, number>>): AddressGuard {
  return {
    allows: (address) => guard.allows(address),
    dial: (host, port, options) =>
      host in ports ? guard.dial('127.0.0.1', ports[host] ?? 0, options) : guard.dial(host, port, options),
  };
}
