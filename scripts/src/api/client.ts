import { z } from 'zod';
import { send } from './connection.ts';

const loginAnswer = z.object({ access_token: z.string(), tenant_id: z.string().nullable() });
const problem = z.object({
  code: z.string(),
  title: z.string(),
  detail: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** The Hub answered with an error; the message is its sentence, with the fields it names. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
  }
}

/** A signed-in user of the public REST API. */
export class ApiClient {
  readonly baseUrl: string;
  /** The access token, for requests by other means. */
  readonly token: string;

  readonly #headers: Readonly<Record<string, string>>;

  private constructor(baseUrl: string, token: string, headers: Readonly<Record<string, string>> = {}) {
    this.baseUrl = baseUrl;
    this.token = token;
    this.#headers = headers;
  }

  /** `headers` go with each request. */
  static async signIn(
    baseUrl: string,
    email: string,
    password: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<ApiClient> {
    const unsigned = new ApiClient(baseUrl, '');
    const answer = await unsigned.#send('POST', '/api/v1/login', { email, password }, loginAnswer, {}, true);
    return new ApiClient(baseUrl, answer.access_token, headers);
  }

  get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return this.#send('GET', path, undefined, schema);
  }

  /** Sent again after a broken connection only with an `idempotency-key` among the headers. */
  post<T>(path: string, body: unknown, schema: z.ZodType<T>, headers: Record<string, string> = {}): Promise<T> {
    return this.#send('POST', path, body, schema, headers);
  }

  patch<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    return this.#send('PATCH', path, body, schema);
  }

  /** An answer without a body is null. */
  delete<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return this.#send('DELETE', path, undefined, schema);
  }

  /** An open answer, for streams; its status is checked. */
  async open(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const response = await send(this.baseUrl + path, { headers: { ...this.#auth(), ...headers }, signal }, true);
    if (!response.ok) throw await asError(response);
    return response;
  }

  async #send<T>(
    method: string,
    path: string,
    body: unknown,
    schema: z.ZodType<T>,
    headers: Record<string, string> = {},
    repeatable = method !== 'POST' || 'idempotency-key' in headers,
  ): Promise<T> {
    const init = {
      method,
      headers: { ...this.#auth(), ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      signal: AbortSignal.timeout(60_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    const response = await send(this.baseUrl + path, init, repeatable);
    if (!response.ok) throw await asError(response);
    return schema.parse(response.status === 204 ? null : await response.json());
  }

  #auth(): Record<string, string> {
    return this.token === '' ? {} : { ...this.#headers, authorization: `Bearer ${this.token}` };
  }
}

async function asError(response: Response): Promise<ApiError> {
  const text = await response.text();
  const parsed = problem.safeParse(parseJson(text));
  if (!parsed.success)
    return new ApiError(response.status, 'UNKNOWN', `HTTP ${response.status}: ${text.slice(0, 500)}`);
  const { code, title, detail, errors = [] } = parsed.data;
  const fields = errors.map((error) => `${error.path}: ${error.message}`);
  return new ApiError(response.status, code, [`${code}: ${title}`, detail, ...fields].filter(Boolean).join(' '));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
