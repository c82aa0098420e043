import { z } from 'zod';
import { absolutePath } from './common.ts';
import { sftpSecret, sshEndpoint } from './ssh.ts';

export const wordpressConfig = z.strictObject({
  ...sshEndpoint,
  /** Where WordPress is installed: the directory of wp-load.php. */
  path: absolutePath,
  /** Caches and the backups of plugins are left out unless false. */
  exclude_caches: z.boolean().default(true),
});
export const wordpressSecret = sftpSecret;
export type WordpressConfig = z.infer<typeof wordpressConfig>;
