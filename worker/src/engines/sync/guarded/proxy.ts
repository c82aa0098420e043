import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { AddressGuard } from '../../../net/guard.ts';

const dialTimeoutMs = 20_000;

/** An HTTP proxy on loopback for one run, which dials through the guard and so reaches nothing that a source may not. */
export interface GuardedProxy {
  /** With its own credentials, for `HTTP_PROXY` and `HTTPS_PROXY`. */
  readonly url: string;
  close(): Promise<void>;
}

export async function openGuardedProxy(guard: AddressGuard): Promise<GuardedProxy> {
  const stop = new AbortController();
  const open = new Set<Duplex>();
  const password = randomBytes(24).toString('hex');
  const wanted = Buffer.from(`Basic ${Buffer.from(`run:${password}`).toString('base64')}`);
  const isAllowed = ({ headers }: IncomingMessage) => {
    const given = Buffer.from(headers['proxy-authorization'] ?? '');
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  };
  const dial = (host: string, port: number) =>
    guard.dial(host, port, { timeoutMs: dialTimeoutMs, signal: stop.signal });

  const server = createServer((request, response) => {
    if (!isAllowed(request)) return void response.writeHead(407).end();
    return void forward(request, response, dial).catch(() => fail(response));
  });
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.on('connect', (request: IncomingMessage, near: Duplex, head: Buffer) => {
    near.on('error', () => near.destroy());
    if (!isAllowed(request)) return void near.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    return void connect(request, near, head, dial).catch(() => near.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has no port');
  return {
    url: `http://run:${password}@127.0.0.1:${address.port}`,
    async close() {
      stop.abort();
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

type Dial = (host: string, port: number) => Promise<Socket>;

async function connect(request: IncomingMessage, near: Duplex, head: Buffer, dial: Dial): Promise<void> {
  const target = new URL(`https://${request.url ?? ''}`);
  const far = await dial(bare(target.hostname), Number(target.port || 443));
  near.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  if (head.length > 0) far.write(head);
  await Promise.allSettled([pipeline(near, far), pipeline(far, near)]);
}

/** A plain HTTP request, which comes with the whole address. */
async function forward(request: IncomingMessage, response: ServerResponse, dial: Dial): Promise<void> {
  const target = new URL(request.url ?? '');
  if (target.protocol !== 'http:') return fail(response);
  const far = await dial(bare(target.hostname), Number(target.port || 80));
  const { 'proxy-authorization': _, 'proxy-connection': __, ...headers } = request.headers;
  const sent = httpRequest({
    createConnection: () => far,
    method: request.method,
    path: `${target.pathname}${target.search}`,
    headers,
  });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  // Its failure is the answer's as well.
  const sending = pipeline(request, sent).catch(() => sent.destroy());
  const [answer] = await answered;
  response.writeHead(answer.statusCode ?? 502, answer.headers);
  await pipeline(answer, response);
  await sending;
}

/** IPv6 addresses stand in brackets in a URL. */
function bare(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

function fail(response: ServerResponse): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(502).end();
}
