import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

interface Offered {
  readonly content: AsyncIterable<Buffer>;
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  failure: { readonly error: unknown } | null;
}

/** Hands contents to a process of the same machine, each at an address that nobody can guess, once. */
export class ContentServer {
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  readonly #offered = new Map<string, Offered>();
  #port = 0;

  static async open(): Promise<ContentServer> {
    const opened = new ContentServer();
    opened.#server.listen(0, '127.0.0.1');
    await once(opened.#server, 'listening');
    opened.#port = (opened.#server.address() as AddressInfo).port;
    return opened;
  }

  /** Offers a content while `fetch` works, which gets its address. Throws what the content throws, else what `fetch` does. */
  async offer(what: Omit<Offered, 'failure'>, fetch: (url: string) => Promise<void>): Promise<void> {
    const path = `/${randomBytes(24).toString('base64url')}`;
    const offered: Offered = { ...what, failure: null };
    this.#offered.set(path, offered);
    try {
      await fetch(`http://127.0.0.1:${this.#port}${path}`);
    } catch (error) {
      if (offered.failure !== null) throw offered.failure.error;
      throw error;
    } finally {
      this.#offered.delete(path);
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer({ method, url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const offered = this.#offered.get(url);
    if (method !== 'GET' || offered === undefined) {
      response.writeHead(404).end();
      return;
    }
    this.#offered.delete(url);
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': offered.sizeBytes,
      'last-modified': new Date(Number(offered.mtimeNs / 1_000_000n)).toUTCString(),
    });
    // A content that breaks ends the connection in the middle, which whoever reads it sees by the length.
    await pipeline(Readable.from(watched(offered), { objectMode: false }), response).catch(() => undefined);
  }
}

async function* watched(offered: Offered): AsyncGenerator<Buffer> {
  // While a chunk is handed on, what is thrown is of whoever reads it.
  let isHandedOn = false;
  try {
    for await (const chunk of offered.content) {
      isHandedOn = true;
      yield chunk;
      isHandedOn = false;
    }
  } catch (error) {
    if (!isHandedOn) offered.failure = { error };
    throw error;
  }
}
