import { XVaultError } from '@xvault/shared/errors.ts';
import { appRefusals } from '@xvault/shared/oauth-token.ts';
import { z } from 'zod';
import type { Provider } from './providers.ts';

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).optional(),
  expires_in: z.number().positive().optional(),
  scope: z.string().optional(),
});
const errorAnswer = z.object({ error: z.string().min(1) });

export interface GrantedToken {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresAt: Date;
}

const timeoutMs = 15_000;

/**
 * Changes the code for tokens. Throws OAUTH_DENIED when the provider refuses or gives no refresh token, OAUTH_NOT_CONFIGURED when it
 * does not take the platform's app, SERVICE_UNAVAILABLE when it cannot be reached or is busy. Source: RFC 6749, section 4.1.3.
 */
export async function exchangeCode(
  provider: Provider,
  { code, verifier, redirectUrl }: { readonly code: string; readonly verifier: string; readonly redirectUrl: string },
): Promise<GrantedToken> {
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: redirectUrl,
    client_id: provider.clientId,
    client_secret: provider.clientSecret,
  });
  const { status, answer } = await post(provider.tokenUrl, body);
  const token = tokenAnswer.safeParse(answer);
  if (status !== 200 || !token.success) {
    const refusal = errorAnswer.safeParse(answer).data?.error ?? null;
    const detail = `the provider gave no token: ${refusal ?? ''} (status ${status})`;
    throw new XVaultError(codeOf(status, refusal), { detail });
  }
  const { access_token, refresh_token, expires_in = 3600 } = token.data;
  if (refresh_token === undefined) {
    throw new XVaultError('OAUTH_DENIED', { detail: 'the provider gave no refresh token' });
  }
  return {
    accessToken: access_token,
    refreshToken: refresh_token,
    expiresAt: new Date(Date.now() + expires_in * 1000),
  };
}

/** Only a refusal in a token endpoint's own words is the user's to hear. */
function codeOf(status: number, refusal: string | null) {
  if (status >= 500 || status === 429 || refusal === null) return 'SERVICE_UNAVAILABLE';
  return appRefusals.includes(refusal) ? 'OAUTH_NOT_CONFIGURED' : 'OAUTH_DENIED';
}

async function post(url: string, body: URLSearchParams): Promise<{ status: number; answer: unknown }> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    return { status: response.status, answer: text.startsWith('{') ? JSON.parse(text) : null };
  } catch (cause) {
    throw new XVaultError('SERVICE_UNAVAILABLE', { detail: 'the provider could not be reached', cause });
  }
}
