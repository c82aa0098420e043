import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from 'age-encryption';
import { XVaultError } from './errors.ts';
import type { KeyType } from './recipients.ts';

export interface KeyPair {
  /** `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`: never stored unsealed by the Hub. */
  readonly identity: string;
  /** `age1…` or `age1pq1…`: public. */
  readonly recipient: string;
}

export async function generateKeyPair(type: KeyType = 'x25519'): Promise<KeyPair> {
  const identity = await (type === 'x25519' ? generateX25519Identity() : generateHybridIdentity());
  return { identity, recipient: await identityToRecipient(identity) };
}

/** Encrypts a small secret to a recipient; the result is base64 of a binary age file. */
export async function seal(plaintext: string, recipient: string): Promise<string> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return Buffer.from(await encrypter.encrypt(plaintext)).toString('base64');
}

/** Opens what {@link seal} made. Throws ERR_DECRYPT_SOURCE_CONFIG when none of the identities fits or the text is damaged. */
export async function unseal(sealed: string, identities: readonly string[]): Promise<string> {
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  try {
    return await decrypter.decrypt(Buffer.from(sealed, 'base64'), 'text');
  } catch (cause) {
    throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', {
      detail: 'no identity at hand opens this sealed secret',
      cause,
    });
  }
}
