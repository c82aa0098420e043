import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import type { z } from 'zod';

/** What is sealed to this worker, as JSON. Throws `code`, which says what it is. */
export async function openSealed(
  sealed: string | null,
  identities: readonly string[],
  code: ErrorCode,
): Promise<unknown> {
  if (sealed === null) throw new XVaultError(code, { detail: 'there is none' });
  const text = await unseal(sealed, identities).catch((cause: unknown) => {
    throw new XVaultError(code, { detail: 'no identity at hand opens it', cause });
  });
  try {
    return JSON.parse(text);
  } catch {
    // Told without the error, which would quote the secret.
    throw new XVaultError(code, { detail: 'it is not JSON' });
  }
}

/** Throws ERR_DECRYPT_DEST_ACCESS_KEY where what was sealed has no fitting access key, ERR_DECRYPT_DEST_SECRET_KEY for the rest. */
export async function openSecretOfDestination<Secret>(
  schema: z.ZodType<Secret>,
  sealed: string | null,
  identities: readonly string[],
): Promise<Secret> {
  const parsed = schema.safeParse(await openSealed(sealed, identities, 'ERR_DECRYPT_DEST_SECRET_KEY'));
  if (parsed.success) return parsed.data;
  const lacksId = parsed.error.issues.some(({ path }) => path[0] === 'access_key_id');
  const code = lacksId ? 'ERR_DECRYPT_DEST_ACCESS_KEY' : 'ERR_DECRYPT_DEST_SECRET_KEY';
  throw new XVaultError(code, { detail: 'the secret has another shape' });
}
