import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpPoster } from './http-post.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const poster = new HttpPoster(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return {
    post: (more: { path?: string; body?: string; timeoutMs?: number } = {}) =>
      poster.post({ path: '/base/x', body: '{"a":"ä"}', token: 'secret', timeoutMs: 20_000, ...more }),
    connections: () => connections,
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('posting to one origin', () => {
  it('gives status and body, and keeps the connection', async () => {
    const { post, connections } = await serve(async (request, response) => {
      const { method, url, headers } = request;
      const body = await bodyOf(request);
      response.writeHead(409, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ method, url, token: headers.authorization, type: headers['content-type'], body }));
    });
    for (let number = 0; number < 3; number += 1) {
      const { status, body } = await post();
      expect(status).toBe(409);
      expect(JSON.parse(body)).toEqual({
        method: 'POST',
        url: '/base/x',
        token: 'Bearer secret',
        type: 'application/json',
        body: '{"a":"ä"}',
      });
    }
    expect(connections()).toBe(1);
  });

  it('follows no redirect', async () => {
    const { post } = await serve((_, response) => response.writeHead(302, { location: '/elsewhere' }).end());
    expect(await post()).toMatchObject({ status: 302 });
  });

  it('rejects when the answer breaks off', async () => {
    const { post } = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"half":', () => response.destroy());
    });
    await expect(post()).rejects.toThrow(/aborted|reset|hang up/i);
  });

  it.each([
    ['never begins', () => undefined],
    ['begins and never ends', (response: { write(text: string): unknown }) => void response.write('{')],
  ])('rejects when the answer %s in time', async (_, act) => {
    const { post } = await serve((_request, response) => act(response));
    await expect(post({ timeoutMs: 100 })).rejects.toThrow();
  });

  it('takes up a new connection after one that the server closed', async () => {
    const { post, connections } = await serve((request, response) => {
      request.resume();
      response.writeHead(200, { connection: 'close' }).end('{}');
    });
    expect(await post()).toEqual({ status: 200, body: '{}' });
    expect(await post()).toEqual({ status: 200, body: '{}' });
    expect(connections()).toBe(2);
  });

  it('refuses what is no HTTP address', () => {
    expect(() => new HttpPoster('ftp://host')).toThrow(TypeError);
  });
});
