import type { CryptSecret } from '@xvault/shared/sync-options.ts';
import { obscure } from './obscure.ts';
import { joinRoot, type Remote } from './remote.ts';

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
