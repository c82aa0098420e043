import * as http from 'node:http';
import * as https from 'node:https';

export interface PostAnswer {
  readonly status: number;
  readonly body: string;
}

export interface PostRequest {
  readonly path: string;
  readonly body: string;
  readonly token: string;
  /** From the first byte sent to the last one received. */
  readonly timeoutMs: number;
}

/** JSON by POST to one origin over connections that are kept: a fifth of what `fetch` costs. Redirects are answers like others. */
export class HttpPoster {
  readonly #origin: URL;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;

  /** Throws TypeError for what is no HTTP URL. */
  constructor(origin: string) {
    this.#origin = new URL(origin);
    const { protocol } = this.#origin;
    if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError(`not an HTTP URL: ${origin}`);
    const { Agent, request } = protocol === 'https:' ? https : http;
    this.#agent = new Agent({ keepAlive: true });
    this.#request = request;
  }

  /** Rejects when there is no whole answer in time. */
  post({ path, body, token, timeoutMs }: PostRequest): Promise<PostAnswer> {
    return new Promise((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        authorization: `Bearer ${token}`,
      };
      const sent = this.#request(new URL(path, this.#origin), { method: 'POST', headers, agent: this.#agent });
      const timer = setTimeout(() => sent.destroy(new Error(`no whole answer within ${timeoutMs} ms`)), timeoutMs);
      const fail = (cause: unknown) => {
        clearTimeout(timer);
        reject(cause);
      };
      sent.once('error', fail);
      sent.once('response', (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
        });
        answer.once('error', fail);
        answer.once('end', () => {
          clearTimeout(timer);
          resolve({ status: answer.statusCode ?? 0, body: text });
        });
      });
      sent.end(body);
    });
  }
}
