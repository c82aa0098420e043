import { request as httpRequest, type IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import type { AddressGuard } from './guard.ts';

const maxAnswerBytes = 64 * 1024;

/**
 * Sends JSON to a customer's address and resolves to the status of the answer. Redirects are not followed. Throws what the
 * guard throws, an Error of the connection, or the signal's reason.
 */
export async function postJson(guard: AddressGuard, url: URL, body: unknown, timeoutMs: number, signal: AbortSignal) {
  const secure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const plain = await guard.dial(host, port, { timeoutMs, signal: limit });
  const destroy = () => plain.destroy();
  limit.addEventListener('abort', destroy, { once: true });
  try {
    limit.throwIfAborted();
    const socket = secure ? await encrypted(plain, host) : plain;
    return await exchange(socket, url, JSON.stringify(body));
  } catch (error) {
    limit.throwIfAborted();
    throw error;
  } finally {
    limit.removeEventListener('abort', destroy);
    plain.destroy();
  }
}

function encrypted(socket: Socket, host: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const secured = tlsConnect({ socket, host, ...(isIP(host) === 0 && { servername: host }) });
    secured.once('secureConnect', () => resolve(secured));
    secured.once('error', reject);
    secured.once('close', () => reject(new Error('the connection was closed before it was encrypted')));
  });
}

function exchange(socket: Socket, url: URL, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string | number> = {
      host: url.host,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'xVault',
      connection: 'close',
    };
    if (url.username !== '') {
      const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
      headers.authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    }
    const path = `${url.pathname}${url.search}`;
    const request = httpRequest({ method: 'POST', path, headers, createConnection: () => socket }, (answer) => {
      drained(answer).then(() => resolve(answer.statusCode ?? 0), reject);
    });
    request.once('error', reject);
    request.end(body);
  });
}

/** Read to its end, so that the other side is done, but not for ever. */
async function drained(answer: IncomingMessage): Promise<void> {
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxAnswerBytes) return;
  }
}
