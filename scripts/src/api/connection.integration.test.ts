import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiClient } from './client.ts';

let close: (() => Promise<void>) | undefined;
afterEach(() => close?.());

/** A real server; gives its address. */
async function listening(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const signedIn = JSON.stringify({ access_token: 'token', tenant_id: null });

/** Closes the connection that brings a request of this path for the first time, as a server does whose time for an idle one is over. */
async function closingFirst(): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const url = await listening(({ method = '', url: path = '', socket }, response) => {
    const isFirst = !asked.includes(`${method} ${path}`);
    asked.push(`${method} ${path}`);
    if (isFirst && path !== '/api/v1/login') {
      socket.destroy();
      return;
    }
    response.setHeader('content-type', 'application/json');
    response.end(path === '/api/v1/login' ? signedIn : '"answer"');
  });
  return { url, asked };
}

test('what may be sent twice is sent again when its connection was closed before an answer', async () => {
  const { url, asked } = await closingFirst();
  const api = await ApiClient.signIn(url, 'a@b.c', 'secret');
  expect(await api.get('/one', z.string())).toBe('answer');
  expect(await api.post('/two', {}, z.string(), { 'idempotency-key': 'k' })).toBe('answer');
  expect(asked).toEqual(['POST /api/v1/login', 'GET /one', 'GET /one', 'POST /two', 'POST /two']);
});

test('what may do harm twice is sent once, and the error says what broke', async () => {
  const { url, asked } = await closingFirst();
  const api = await ApiClient.signIn(url, 'a@b.c', 'secret');
  await expect(api.post('/make', {}, z.string())).rejects.toThrow(`no answer from ${url}: other side closed`);
  expect(asked).toEqual(['POST /api/v1/login', 'POST /make']);
});

test('a server that is not there is named, with the reason', async () => {
  const { url } = await closingFirst();
  await close?.();
  close = undefined;
  await expect(ApiClient.signIn(url, 'a@b.c', 'secret')).rejects.toThrow(
    /^no answer from http:\S+: connect ECONNREFUSED/,
  );
});
