import { z } from 'zod';
import { obscure } from './obscure.ts';
import { joinRoot, type Remote } from './remote.ts';

/** What is sealed as a job's secret. */
export const cryptSecret = z.strictObject({ password: z.string().min(16), salt: z.string().min(16) });
export type CryptSecret = z.infer<typeof cryptSecret>;

/** rclone's crypt over the remote `raw`, below `prefix`. Contents and names are encrypted. */
export function cryptRemote(raw: Remote, prefix: string, secret: CryptSecret): Remote {
  return {
    options: {
      type: 'crypt',
      remote: `raw:${joinRoot(raw.root, prefix)}`,
      password: obscure(secret.password),
      password2: obscure(secret.salt),
      filename_encryption: 'standard',
      directory_name_encryption: 'true',
    },
    root: '',
    caPem: null,
    hashes: 'none',
  };
}
