import { XVaultError } from '@xvault/shared/errors.ts';
import type { OauthToken } from '@xvault/shared/oauth-token.ts';
import type { OauthApp } from '../remotes/cloud.ts';
import { postForm } from './post-form.ts';
import { grantedAnswer, refusalOf } from './token-answers.ts';

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
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: token.refresh_token,
    client_id: app.clientId,
    client_secret: app.clientSecret,
  });
  const { status, answer } = await postForm(tokenUrl, form, signal);
  const fresh = grantedAnswer.safeParse(answer);
  if (status !== 200 || !fresh.success) {
    const detail = `the provider refused to renew the token: ${refusalOf(answer, status)}`;
    throw new XVaultError('CONNECTION_REAUTHORIZE', { detail });
  }
  const { access_token, token_type, refresh_token, expires_in } = fresh.data;
  return {
    access_token,
    token_type,
    refresh_token: refresh_token ?? token.refresh_token,
    expiry: new Date(Date.now() + expires_in * 1000).toISOString(),
  };
}
