import { createCipheriv, randomBytes } from 'node:crypto';

/** rclone's published key (fs/config/obscure): it hides a password from a glance, and from nobody else. */
const key = Buffer.from('9c935b48730a554d6bfd7c63c886a92bd390198eb8128afbf4de162b8b95f638', 'hex');

/** A password as rclone's config wants it: base64url of IV and AES-256-CTR. */
export function obscure(password: string): string {
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-ctr', key, iv);
  return Buffer.concat([iv, cipher.update(password, 'utf8'), cipher.final()]).toString('base64url');
}
