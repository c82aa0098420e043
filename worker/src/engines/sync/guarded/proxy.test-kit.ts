import { once } from 'node:events';
import { type Agent, createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { createAddressGuard } from '../../../net/guard.ts';
import type { WebServer } from '../remotes/web.ts';
import { type GuardedProxy, openGuardedProxy, type ProxyOptions } from './proxy.ts';

/** A server of the test's own on a free port; the test ends it. */
export interface TestServer {
  readonly port: number;
  readonly sockets: ReadonlySet<Socket>;
  /** Connections that were made to it so far. */
  readonly connections: () => number;
  stop(): Promise<void>;
}

export async function serveHttp(listener: RequestListener, server: Server = createServer()): Promise<TestServer> {
  server.on('request', listener);
  server.keepAliveTimeout = 60_000;
  return listening(server);
}

/** One that answers as it likes, without the help of an HTTP library. */
export function serveTcp(onSocket: (socket: Socket) => void): Promise<TestServer> {
  return listening(
    createTcpServer((socket) => {
      socket.on('error', () => socket.destroy());
      onSocket(socket);
    }),
  );
}

async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<TestServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    connections: () => connections,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly trailers: IncomingMessage['trailers'];
  readonly body: Buffer;
}

export interface TestProxy extends GuardedProxy {
  readonly port: number;
  readonly notes: string[];
  /** What rclone would do: a request for the plain name of the source. */
  ask(path: string, how?: How): Promise<Answer>;
}

export interface How {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly agent?: Agent;
  readonly signal?: AbortSignal;
  readonly onAnswer?: (answer: IncomingMessage) => unknown;
}

/** The proxy of a run that reads from this server. */
export async function proxyTo(url: string, more: Partial<ProxyOptions & WebServer> = {}): Promise<TestProxy> {
  const notes: string[] = [];
  const { signsHost = false, caPem = null, ...options } = more;
  const server: WebServer = { kind: 'server', url, option: 'url', label: null, signsHost, caPem };
  const proxy = await openGuardedProxy({
    guard: createAddressGuard({ allow: ['127.0.0.0/8'] }),
    ends: [{ role: 'source', server }],
    opensTunnels: false,
    note: (words) => void notes.push(words),
    ...options,
  });
  const { port, username, password } = new URL(proxy.url);
  const plain = new URL(proxy.urls.get('source') ?? '').origin;
  return { ...proxy, port: Number(port), notes, ask: (path, how) => ask(`${plain}${path}`, how) };

  async function ask(target: string, { method = 'GET', headers, body, onAnswer, ...how }: How = {}): Promise<Answer> {
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const sent = request({
      host: '127.0.0.1',
      port,
      path: target,
      method,
      headers: { host: new URL(target).host, 'proxy-authorization': authorization, ...headers },
      ...how,
    });
    // What breaks after the answer began is the answer's to tell.
    sent.on('error', () => undefined);
    const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
    if (headers?.expect === undefined) sent.end(body);
    else sent.once('continue', () => sent.end(body));
    const [answer] = await answered;
    await onAnswer?.(answer);
    const content = await buffer(answer);
    return { status: answer.statusCode ?? 0, headers: answer.headers, trailers: answer.trailers, body: content };
  }
}
