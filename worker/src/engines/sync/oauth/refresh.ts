import { XVaultError } from '@xvault/shared/errors.ts';
import type { OauthToken } from '@xvault/shared/oauth-token.ts';
import { z } from 'zod';
import type { OauthApp } from '../remotes/cloud.ts';

const granted = z.object({
  access_token: z.string().min(1),
  token_type: z.string().default('Bearer'),
  /** Only from providers that change it at each use. */
  refresh_token: z.string().min(1).optional(),
  expires_in: z.number().positive().default(3600),
});
const refused = z.object({ error: z.string() });
const timeoutMs = 20_000;

export interface Refreshing {
  readonly app: OauthApp;
  readonly tokenUrl: string;
  readonly token: OauthToken;
  readonly signal: AbortSignal;
}

/**
 * A new access token for a refresh token. Throws CONNECTION_REAUTHORIZE when the provider no longer takes it, SOURCE_RATE_LIMITED, or
 * SOURCE_UNREACHABLE. Source: RFC 6749, section 6.
 */
export async function refreshToken({ app, tokenUrl, token, signal }: Refreshing): Promise<OauthToken> {
  const body = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: token.refresh_token,
    client_id: app.clientId,
    client_secret: app.clientSecret,
  });
  const { status, answer } = await post(tokenUrl, body, signal);
  if (status === 429) throw new XVaultError('SOURCE_RATE_LIMITED', { detail: 'at the renewal of the token' });
  if (status >= 500) throw new XVaultError('SOURCE_UNREACHABLE', { detail: `renewing the token: status ${status}` });
  const fresh = granted.safeParse(answer);
  if (status !== 200 || !fresh.success) {
    const reason = refused.safeParse(answer).data?.error ?? `status ${status}`;
    throw new XVaultError('CONNECTION_REAUTHORIZE', { detail: `the provider refused to renew the token: ${reason}` });
  }
  const { access_token, token_type, refresh_token, expires_in } = fresh.data;
  return {
    access_token,
    token_type,
    refresh_token: refresh_token ?? token.refresh_token,
    expiry: new Date(Date.now() + expires_in * 1000).toISOString(),
  };
}

async function post(
  url: string,
  body: URLSearchParams,
  signal: AbortSignal,
): Promise<{ status: number; answer: unknown }> {
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
