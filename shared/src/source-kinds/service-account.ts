import { z } from 'zod';

const oneWord = z
  .string()
  .max(320)
  .regex(/^[^\s"\\]+$/, 'must be one word');

/**
 * What is used of the key file that Google gives for a service account. All else in it is dropped, its addresses above all: a
 * customer could lead signed requests anywhere by them. Another universe has other addresses, so its keys are refused.
 */
export const serviceAccountKey = z.object({
  type: z.literal('service_account'),
  client_email: oneWord.includes('@'),
  private_key_id: oneWord.optional(),
  /** PEM, RSA. */
  private_key: z
    .string()
    .max(16_384)
    .regex(/-----BEGIN (RSA )?PRIVATE KEY-----/),
  universe_domain: z.literal('googleapis.com').optional(),
});
export type ServiceAccountKey = z.infer<typeof serviceAccountKey>;

/** Null when the text is no such key file. */
export function parseServiceAccount(text: string): ServiceAccountKey | null {
  try {
    return serviceAccountKey.parse(JSON.parse(text));
  } catch {
    // What is wrong with it may quote the key: nothing of it is told.
    return null;
  }
}
