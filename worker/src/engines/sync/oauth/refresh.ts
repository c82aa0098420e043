import { XVaultError } from '@xvault/shared/errors.ts';
import { appRefusals, type OauthToken } from '@xvault/shared/oauth-token.ts';
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
 * A new access token for a refresh token. Throws CONNECTION_REAUTHORIZE when the provider no longer takes it and nothing less,
 * OAUTH_NOT_CONFIGURED when it does not take the platform's app, SOURCE_RATE_LIMITED, or SOURCE_UNREACHABLE. Source: RFC 6749,
 * section 6.
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
    const refusal = refusalOf(answer);
    const detail = `the provider did not renew the token: ${refusal ?? `status ${status}`}`;
    throw new XVaultError(codeOf(refusal), { detail });
  }
  const { access_token, token_type, refresh_token, expires_in } = fresh.data;
  return {
    access_token,
    token_type,
    refresh_token: refresh_token ?? token.refresh_token,
    expiry: new Date(Date.now() + expires_in * 1000).toISOString(),
  };
}

/** Whoever has to sign in again cannot help where anything else than their token was refused. */
function codeOf(refusal: string | null) {
  if (refusal === 'invalid_grant') return 'CONNECTION_REAUTHORIZE';
  return refusal !== null && appRefusals.includes(refusal) ? 'OAUTH_NOT_CONFIGURED' : 'SOURCE_UNREACHABLE';
}
