import type { CryptSecret } from '@xvault/shared/sync-options.ts';
import { obscure } from './obscure.ts';
import type { Remote } from './remote.ts';

/** rclone's crypt over another remote, below a path of it. Contents and names are encrypted. */
export function cryptRemote(remote: string, secret: CryptSecret): Remote {
  return {
    options: {
      type: 'crypt',
      remote,
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
