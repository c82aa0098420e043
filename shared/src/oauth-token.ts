import { z } from 'zod';

/** A token as rclone keeps it; sealed, it is what a connection is. */
export const oauthToken = z.strictObject({
  access_token: z.string().min(1),
  token_type: z.string().default('Bearer'),
  refresh_token: z.string().min(1),
  /** RFC 3339. */
  expiry: z.string(),
});
export type OauthToken = z.infer<typeof oauthToken>;
