import { createHash, createHmac } from 'node:crypto';
import type { JWT } from '@fastify/jwt';
import { XVaultError } from '@xvault/shared/errors.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { z } from 'zod';
import { oauthAudience } from '../auth/access-token.ts';
import { type Provider, providerNames } from './providers.ts';

export const stateMinutes = 10;

const stateClaims = z.object({
  tenant: idSchema,
  user: idSchema,
  provider: z.enum(providerNames),
  name: z.string(),
  /** The connection that is signed in anew; absent for a new one. */
  connection: idSchema.optional(),
  jti: z.string(),
});
export type StateClaims = z.infer<typeof stateClaims>;

/** A state that only the user who asked for it can use. */
export function signState(jwt: JWT, claims: Omit<StateClaims, 'jti'>): string {
  return jwt.sign({ ...claims, jti: randomToken() }, { aud: oauthAudience, expiresIn: `${stateMinutes}m` });
}

/** Throws OAUTH_STATE_INVALID when it is forged, over, or another user's. */
export function readState(jwt: JWT, state: string, userId: string): StateClaims {
  let claims: StateClaims;
  try {
    claims = stateClaims.parse(jwt.verify(state, { allowedAud: oauthAudience }));
  } catch (cause) {
    throw new XVaultError('OAUTH_STATE_INVALID', { cause });
  }
  if (claims.user !== userId) throw new XVaultError('OAUTH_STATE_INVALID', { detail: 'the state is of another user' });
  return claims;
}

/** PKCE's verifier, derived so that it is stored nowhere. Source: RFC 7636. */
export function codeVerifier(jwtSecret: string, state: string): string {
  return createHmac('sha256', jwtSecret).update(`oauth-pkce:${state}`).digest('base64url');
}

export function authorizeUrl(provider: Provider, redirectUrl: string, state: string, verifier: string): string {
  const url = new URL(provider.authorizeUrl);
  const params = {
    response_type: 'code',
    client_id: provider.clientId,
    redirect_uri: redirectUrl,
    scope: provider.scope,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...provider.offlineParams,
  };
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  return url.toString();
}
