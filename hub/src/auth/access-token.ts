import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';

export const jwtIssuer = 'xvault';
export const accessAudience = 'xvault-api';
export const exportAudience = 'xvault-export';
export const oauthAudience = 'xvault-oauth';

/** What an access token says: the user and the tenant chosen at sign-in. Roles are looked up at each request. */
export const accessClaims = z.object({ sub: idSchema, tid: idSchema.nullable() });
export type AccessClaims = z.infer<typeof accessClaims>;
