import type { FastifyInstance, InjectOptions } from 'fastify';
import { ensureFirstOperator } from '../auth/first-operator.ts';
import type { TestHub } from './test-hub.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly text: string;
  /** Parsed; empty when the answer is not a JSON object. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** Calls the API as one user, in process but through all of the application. */
export type ApiClient = (
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT',
  url: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<ApiAnswer>;

export function apiClient(app: FastifyInstance, token?: string): ApiClient {
  return async (method, url, body, headers = {}) => {
    const options: InjectOptions = {
      method,
      url,
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
    };
    const answer = await app.inject(body === undefined ? options : { ...options, payload: body as object });
    const isJson = answer.body !== '' && String(answer.headers['content-type']).includes('json');
    return {
      status: answer.statusCode,
      headers: answer.headers,
      text: answer.body,
      body: isJson ? JSON.parse(answer.body) : {},
    };
  };
}

/** The items of a page. */
export function itemsOf({ body }: ApiAnswer): Record<string, unknown>[] {
  return Array.isArray(body.items) ? body.items : [];
}

export async function signedIn(hub: Pick<TestHub, 'app'>, email: string, password: string): Promise<ApiClient> {
  const { status, body, text } = await apiClient(hub.app)('POST', '/api/v1/login', { email, password });
  if (status !== 200) throw new Error(`sign-in of ${email} failed: ${text}`);
  return apiClient(hub.app, String(body.access_token));
}

export const testPassword = 'correct horse battery';

/** A client of an operator of the platform. */
export async function operatorClient(hub: Pick<TestHub, 'app' | 'db'>): Promise<ApiClient> {
  await ensureFirstOperator(hub.db, 'operator@example.com', testPassword);
  return signedIn(hub, 'operator@example.com', testPassword);
}

/** A new tenant, with a client of its owner. */
export async function tenantClient(
  hub: Pick<TestHub, 'app'>,
  operator: ApiClient,
  name: string,
  localPaths: string[] = [],
) {
  const owner = { email: `${name}@example.com`, password: testPassword };
  const made = await operator('POST', '/api/v1/tenants', { name, owner, local_paths: localPaths });
  if (made.status !== 201) throw new Error(`tenant ${name} was not made: ${made.text}`);
  return { tenantId: String(made.body.id), owner, client: await signedIn(hub, owner.email, owner.password) };
}
