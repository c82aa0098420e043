import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { XVaultError } from '@xvault/shared/errors.ts';
import { redact } from '../redact.ts';

/** What rclone answered instead of a result. `words` are rclone's own, redacted, never its echo of the input, which holds secrets. */
export class RcError extends Error {
  readonly words: string;
  readonly httpStatus: number;
  constructor(method: string, httpStatus: number, words: string) {
    const told = redact(words);
    super(`rclone refused ${method}: ${told}`);
    this.name = 'RcError';
    this.words = told;
    this.httpStatus = httpStatus;
  }
}

export interface RcAddress {
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** Calls of one private rclone over loopback HTTP. */
export class RcClient {
  readonly #address: RcAddress;
  readonly #refusal: () => XVaultError | null;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });

  /** @param refusal what rclone was kept from, of which its own words say little. */
  constructor(address: RcAddress, refusal: () => XVaultError | null = () => null) {
    this.#address = address;
    this.#refusal = refusal;
  }

  /** Throws what rclone was kept from, once there was such. */
  throwIfRefused(): void {
    const refusal = this.#refusal();
    if (refusal !== null) throw refusal;
  }

  /** Throws RcError, or what rclone was kept from, or the signal's reason; SYNC_FAILED when rclone is gone. */
  async call(method: string, input: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<unknown> {
    const body = JSON.stringify(input);
    const { port, user, password } = this.#address;
    const options = {
      host: '127.0.0.1',
      port,
      path: `/${method}`,
      method: 'POST',
      agent: this.#agent,
      auth: `${user}:${password}`,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      ...(signal === undefined ? {} : { signal }),
    };
    try {
      const { status, answer } = await new Promise<{ status: number; answer: string }>((resolve, reject) => {
        const sent = request(options, (response) => {
          text(response).then((answer) => resolve({ status: response.statusCode ?? 0, answer }), reject);
        });
        sent.once('error', reject);
        sent.end(body);
      });
      return readAnswer(method, status, answer);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (!(error instanceof RcError)) throw gone(error);
      this.throwIfRefused();
      throw error;
    }
  }

  /** The content of one object from a byte on, as it reads through its remote. Throws RcError when it cannot be opened. */
  async open(fs: string, path: string, signal: AbortSignal, fromByte = 0): Promise<IncomingMessage> {
    const { port, user, password } = this.#address;
    const name = `/[${encodeURIComponent(fs)}]/${path.split('/').map(encodeURIComponent).join('/')}`;
    const headers = fromByte === 0 ? {} : { range: `bytes=${fromByte}-` };
    const auth = `${user}:${password}`;
    const options = { host: '127.0.0.1', port, path: name, agent: this.#agent, auth, headers, signal };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const failed = (error: Error) => reject(signal.aborted ? signal.reason : gone(error));
      const sent = request(options, (answer) => {
        // rclone ends a connection by which it refused, without saying so: the next call must not go that way.
        if ((answer.statusCode ?? 0) >= 400) sent.shouldKeepAlive = false;
        resolve(answer);
      });
      sent.once('error', failed).end();
    });
    if (response.statusCode === (fromByte === 0 ? 200 : 206)) return response;
    const words = (await text(response)).slice(0, 500);
    this.throwIfRefused();
    throw new RcError('open', response.statusCode ?? 0, words);
  }

  close(): void {
    this.#agent.destroy();
  }
}

function gone(cause: unknown): XVaultError {
  return new XVaultError('SYNC_FAILED', { detail: `rclone does not answer: ${String(cause)}`, cause });
}

function readAnswer(method: string, status: number, answer: string): unknown {
  if (status === 200) return JSON.parse(answer);
  let words = 'no reason given';
  try {
    const parsed: unknown = JSON.parse(answer);
    const error: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'error') : undefined;
    if (typeof error === 'string') words = error;
  } catch {
    // An answer that is no JSON is of a proxy or a crash; it is not quoted, for it may echo the input.
    words = `an answer of ${answer.length} characters that is not JSON`;
  }
  throw new RcError(method, status, words);
}
