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

/**
 * How a token endpoint refuses the platform's app, whoever's token it is about. Source: RFC 6749, section 5.2; the last three are
 * Google's.
 */
export const appRefusals: readonly string[] = [
  'invalid_client',
  'unauthorized_client',
  'deleted_client',
  'disabled_client',
  'redirect_uri_mismatch',
];
