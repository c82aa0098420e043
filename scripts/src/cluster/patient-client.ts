import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { ApiClient, ApiError } from '../api/client.ts';

/** A client of the public API that asks again whenever the answer was lost or said "later". */
export class PatientClient {
  readonly #api: ApiClient;
  readonly #signal: AbortSignal;
  /** Answers with status 500: "later" would have been right, or nothing wrong at all. */
  readonly internalErrors: string[] = [];

  private constructor(api: ApiClient, signal: AbortSignal) {
    this.#api = api;
    this.#signal = signal;
  }

  /** `signal` ends its patience. */
  static async signIn(baseUrl: string, email: string, password: string, signal: AbortSignal): Promise<PatientClient> {
    return new PatientClient(await patiently(() => ApiClient.signIn(baseUrl, email, password), signal), signal);
  }

  get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return this.#patiently(path, () => this.#api.get(path, schema));
  }

  patch<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    return this.#patiently(path, () => this.#api.patch(path, body, schema));
  }

  /** With a key of its own, so that a repetition does nothing twice where the route knows keys. */
  post<T>(path: string, body: unknown, schema: z.ZodType<T>, key: string = randomUUID()): Promise<T> {
    return this.#patiently(path, () => this.#api.post(path, body, schema, { 'idempotency-key': key }));
  }

  #patiently<T>(path: string, ask: () => Promise<T>): Promise<T> {
    return patiently(ask, this.#signal, (error) => {
      if (error instanceof ApiError && error.status === 500) this.internalErrors.push(`${path}: ${error.message}`);
    });
  }
}

async function patiently<T>(
  ask: () => Promise<T>,
  signal: AbortSignal,
  onRetry: (error: unknown) => void = () => undefined,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!mayPass(error)) throw error;
      signal.throwIfAborted();
      onRetry(error);
      await sleep(Math.min(tries * 50, 1000), undefined, { signal });
    }
  }
}

/** fetch says TypeError for every broken connection, and TimeoutError for its own limit. */
function mayPass(error: unknown): boolean {
  if (error instanceof ApiError) return error.status >= 500 || error.status === 429;
  return error instanceof TypeError || (error instanceof Error && error.name === 'TimeoutError');
}
