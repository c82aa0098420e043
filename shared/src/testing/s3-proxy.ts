import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A status to answer with, `cut` for a broken connection, null for the server's own answer. */
export type ProxyVerdict = number | 'cut' | null;

export interface S3Proxy {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** Passes requests on to an S3 server, unless `judge` says otherwise; a promise holds a request until it is settled. */
export async function startS3Proxy(
  target: string,
  judge: (request: IncomingMessage) => ProxyVerdict | Promise<ProxyVerdict>,
): Promise<S3Proxy> {
  const { hostname, port } = new URL(target);
  const proxy = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    outgoing.on('error', () => incoming.destroy());
    void Promise.resolve(judge(incoming)).then((verdict) => answer(verdict, incoming, outgoing));
  });

  function answer(verdict: ProxyVerdict, incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (verdict === 'cut') {
      incoming.socket.destroy();
      return;
    }
    if (verdict !== null) {
      incoming.resume().once('end', () => outgoing.writeHead(verdict).end());
      return;
    }
    // The host header stays as it is: it is signed.
    const { method, url: path, headers } = incoming;
    const passed = httpRequest({ hostname, port, method, path, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 500, response.headers);
      response.on('error', () => outgoing.destroy());
      response.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.on('error', () => passed.destroy());
    incoming.pipe(passed);
  }

  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        proxy.closeAllConnections();
      }),
  };
}

/** Whether a request asks the server to copy from another object. */
export function isCopy({ headers }: IncomingMessage): boolean {
  return headers['x-amz-copy-source'] !== undefined;
}
