import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';
import { providerNames } from './providers.ts';

const name = z.string().trim().min(1).max(255);

export const authorizeBody = z.strictObject({
  provider: z.enum(providerNames),
  name,
  /** Signs an existing connection in anew, with all that uses it. */
  connection_id: idSchema.optional(),
});
export const authorizeView = z.strictObject({
  /** Where the user's browser goes. */
  authorize_url: z.url(),
  /** Comes back with the code; works for the user who asked, for ten minutes. */
  state: z.string(),
  expires_at: z.iso.datetime(),
});

export const completeBody = z.strictObject({
  state: z.string().min(1).max(4096),
  code: z.string().min(1).max(4096),
});

export const connectionView = z.strictObject({
  id: idSchema,
  name: z.string(),
  provider: z.enum(providerNames),
  /** `reauthorize`: the provider no longer takes its token. */
  status: z.enum(['active', 'reauthorize']),
  /** Until when the access token holds that was seen last; it is renewed at each use. */
  access_expires_at: z.iso.datetime().nullable(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export const connectionPage = pageOf(connectionView);
