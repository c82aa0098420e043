import type { JWT } from '@fastify/jwt';
import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';
import { exportAudience } from '../auth/access-token.ts';

export const linkSeconds = 15 * 60;

const linkClaims = z.object({ sub: idSchema, jti: z.string().min(1) });
/** `sub` is the export, `jti` the link. */
export type LinkClaims = z.infer<typeof linkClaims>;

/** Signs a link's token; its audience keeps it from being taken for an access token, and the other way round. */
export function signLink(jwt: JWT, claims: LinkClaims): string {
  return jwt.sign(claims, { aud: exportAudience, expiresIn: `${linkSeconds}s` });
}

/** Undefined when the signature, the audience or the time does not fit. */
export function readLink(jwt: JWT, token: string): LinkClaims | undefined {
  try {
    return linkClaims.parse(jwt.verify(token, { allowedAud: exportAudience }));
  } catch {
    return undefined;
  }
}
