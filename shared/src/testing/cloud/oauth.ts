import { createHash, randomBytes } from 'node:crypto';
import { jwtBearer, type ServiceAccounts } from './service-accounts.ts';

/** How a provider differs from the other, by its documentation. */
export interface OauthRules {
  /** Parameters of the authorization request without which there is no refresh token. */
  readonly offline: Readonly<Record<string, string>>;
  /** What its token endpoint answers beside the token. */
  readonly extra: Readonly<Record<string, string>>;
  /** That sign in without a user and a client. */
  readonly accounts?: ServiceAccounts;
}

export interface OauthClient {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUrl: string;
}

interface Grant {
  readonly challenge: string;
  readonly redirectUrl: string;
  readonly scope: string;
  readonly isOffline: boolean;
}

/** Answer of an endpoint: JSON, or a redirect. */
export type Answer =
  | { readonly status: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly redirect: string };

const token = (prefix: string) => `${prefix}${randomBytes(24).toString('base64url')}`;

/** An authorization server. Source: RFC 6749, RFC 7636, RFC 7523. */
export class OauthServer {
  readonly #client: OauthClient;
  readonly #rules: OauthRules;
  readonly #codes = new Map<string, Grant>();
  readonly #refreshTokens = new Map<string, string>();
  readonly #accessTokens = new Map<string, number>();
  /** Of new access tokens. */
  accessSeconds = 3600;
  /** A refresh token is good for one use and comes with the next. */
  rotates = false;
  /** Answers that the token endpoint gives before it behaves again. */
  failures: { readonly status: number; readonly error: string }[] = [];
  /** How often tokens were renewed. */
  refreshes = 0;

  constructor(client: OauthClient, rules: OauthRules) {
    this.#client = client;
    this.#rules = rules;
  }

  /** The user is asked and consents at once. */
  authorize(query: URLSearchParams): Answer {
    const redirectUrl = query.get('redirect_uri');
    const challenge = query.get('code_challenge') ?? '';
    const isKnown = query.get('client_id') === this.#client.clientId && redirectUrl === this.#client.redirectUrl;
    if (!isKnown || redirectUrl === null) return { status: 400, body: { error: 'redirect_uri_mismatch' } };
    if (query.get('response_type') !== 'code') return { status: 400, body: { error: 'unsupported_response_type' } };
    if (query.get('code_challenge_method') !== 'S256' || challenge.length !== 43) {
      return { status: 400, body: { error: 'invalid_request' } };
    }
    const isOffline = Object.entries(this.#rules.offline).every(([name, value]) => query.get(name) === value);
    const code = token('code-');
    this.#codes.set(code, { challenge, redirectUrl, scope: query.get('scope') ?? '', isOffline });
    const back = new URL(redirectUrl);
    back.searchParams.set('code', code);
    back.searchParams.set('state', query.get('state') ?? '');
    return { redirect: back.toString() };
  }

  /** @param endpoint is the address that was asked, which assertions must be made for. */
  token(form: URLSearchParams, endpoint: string): Answer {
    const failure = this.failures.shift();
    if (failure !== undefined) return { status: failure.status, body: { error: failure.error } };
    const { accounts } = this.#rules;
    if (form.get('grant_type') === jwtBearer && accounts !== undefined) {
      const refusal = accounts.refusal(form.get('assertion') ?? '', endpoint);
      return refusal === null ? { status: 200, body: this.#access() } : refuse(refusal);
    }
    const { clientId, clientSecret } = this.#client;
    if (form.get('client_id') !== clientId || form.get('client_secret') !== clientSecret)
      return refuse('invalid_client');
    switch (form.get('grant_type')) {
      case 'authorization_code':
        return this.#exchange(form);
      case 'refresh_token':
        return this.#refresh(form.get('refresh_token') ?? '');
      default:
        return refuse('unsupported_grant_type');
    }
  }

  /** As if the user had signed in and the platform kept the token. */
  grant(): { readonly accessToken: string; readonly refreshToken: string; readonly expiry: string } {
    const refreshToken = token('refresh-');
    this.#refreshTokens.set(refreshToken, '');
    return { accessToken: this.#newAccess(), refreshToken, expiry: this.#expiry() };
  }

  /** The user takes all access back. */
  revokeAll(): void {
    this.#refreshTokens.clear();
    this.#accessTokens.clear();
  }

  isGood(accessToken: string): boolean {
    return (this.#accessTokens.get(accessToken) ?? 0) > Date.now();
  }

  holds(refreshToken: string): boolean {
    return this.#refreshTokens.has(refreshToken);
  }

  #exchange(form: URLSearchParams): Answer {
    const code = form.get('code') ?? '';
    const grant = this.#codes.get(code);
    // Good for one use.
    this.#codes.delete(code);
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (grant === undefined || grant.redirectUrl !== form.get('redirect_uri')) return refuse('invalid_grant');
    if (grant.challenge !== challenge) return refuse('invalid_grant');
    const refresh = grant.isOffline ? { refresh_token: token('refresh-') } : {};
    if (refresh.refresh_token !== undefined) this.#refreshTokens.set(refresh.refresh_token, grant.scope);
    return this.#granted(grant.scope, refresh);
  }

  #refresh(refreshToken: string): Answer {
    const scope = this.#refreshTokens.get(refreshToken);
    if (scope === undefined) return refuse('invalid_grant');
    this.refreshes += 1;
    if (!this.rotates) return this.#granted(scope, {});
    this.#refreshTokens.delete(refreshToken);
    const next = token('refresh-');
    this.#refreshTokens.set(next, scope);
    return this.#granted(scope, { refresh_token: next });
  }

  #granted(scope: string, refresh: object): Answer {
    return { status: 200, body: { ...this.#access(), scope, ...refresh, ...this.#rules.extra } };
  }

  #access() {
    return { access_token: this.#newAccess(), expires_in: this.accessSeconds, token_type: 'bearer' };
  }

  #newAccess(): string {
    const accessToken = token('access-');
    this.#accessTokens.set(accessToken, Date.now() + this.accessSeconds * 1000);
    return accessToken;
  }

  #expiry(): string {
    return new Date(Date.now() + this.accessSeconds * 1000).toISOString();
  }
}

function refuse(error: string): Answer {
  return { status: error === 'invalid_client' ? 401 : 400, body: { error } };
}
