import { Encrypter } from 'age-encryption';

/** Kinds of age keys that tenants may have. */
export const keyTypes = ['x25519', 'post_quantum'] as const;
export type KeyType = (typeof keyTypes)[number];

/** Of an age recipient by its form; undefined for anything else: plugins' recipients, those of SSH, passphrases. */
export function recipientType(recipient: string): KeyType | undefined {
  if (/^age1pq1[02-9ac-hj-np-z]+$/.test(recipient)) return 'post_quantum';
  // A recipient of a plugin has a second "1" after the plugin's name; that digit is no digit of bech32.
  return /^age1[02-9ac-hj-np-z]{58}$/.test(recipient) ? 'x25519' : undefined;
}

/**
 * What is wrong with recipients of one file, in words for the customer that follow the field's name; null when nothing is. Tries them, so that a recipient with
 * a right checksum that is no key is found too.
 */
export async function wrongRecipients(recipients: readonly string[]): Promise<string | null> {
  const types = new Set<KeyType>();
  for (const recipient of recipients) {
    const type = recipientType(recipient);
    if (type === undefined || !(await canEncryptTo(recipient))) return 'must be age recipients: age1… or age1pq1…';
    types.add(type);
  }
  if (new Set(recipients).size < recipients.length) return 'must not name a recipient twice';
  // Whoever breaks the weaker one reads the file, so age forbids it.
  return types.size > 1 ? 'must be all post-quantum (age1pq1…) or none: age does not allow to mix them' : null;
}

async function canEncryptTo(recipient: string): Promise<boolean> {
  const encrypter = new Encrypter();
  try {
    encrypter.addRecipient(recipient);
    await encrypter.encrypt('');
    return true;
  } catch {
    return false;
  }
}
