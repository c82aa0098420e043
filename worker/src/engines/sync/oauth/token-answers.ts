import { z } from 'zod';

/** Answers of a token endpoint. Source: RFC 6749, section 5. */
export const grantedAnswer = z.object({
  access_token: z.string().min(1),
  token_type: z.string().default('Bearer'),
  /** Only from providers that change it at each use. */
  refresh_token: z.string().min(1).optional(),
  expires_in: z.number().positive().default(3600),
});
const refusedAnswer = z.object({ error: z.string().min(1) });

/** Why it was refused, in the provider's one word; null where it is not a token endpoint that answers. */
export function refusalOf(answer: unknown): string | null {
  return refusedAnswer.safeParse(answer).data?.error ?? null;
}
