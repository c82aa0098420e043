import { XVaultError } from '@xvault/shared/errors.ts';

const timeoutMs = 20_000;

export interface FormAnswer {
  readonly status: number;
  /** Null where it is no JSON object. */
  readonly answer: unknown;
}

/**
 * Asks a token endpoint of the platform's choice; no redirect is followed. Throws SOURCE_RATE_LIMITED, SOURCE_UNREACHABLE, or the
 * signal's reason.
 */
export async function postForm(url: string, form: URLSearchParams, signal: AbortSignal): Promise<FormAnswer> {
  const answered = await post(url, form, signal);
  const { status } = answered;
  if (status === 429) throw new XVaultError('SOURCE_RATE_LIMITED', { detail: 'at the request for a token' });
  if (status >= 500) throw new XVaultError('SOURCE_UNREACHABLE', { detail: `asking for a token: status ${status}` });
  return answered;
}

async function post(url: string, body: URLSearchParams, signal: AbortSignal): Promise<FormAnswer> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body,
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await response.text();
    return { status: response.status, answer: text.startsWith('{') ? JSON.parse(text) : null };
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw new XVaultError('SOURCE_UNREACHABLE', { detail: 'the provider could not be reached for a token', cause });
  }
}
