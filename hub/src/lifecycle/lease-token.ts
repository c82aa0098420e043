import { createHmac, hkdfSync } from 'node:crypto';

const keys = new Map<string, Buffer>();

function leaseKey(secret: string): Buffer {
  const known = keys.get(secret);
  if (known !== undefined) return known;
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'xvault lease token', 32));
  keys.set(secret, key);
  return key;
}

/**
 * The token of a lease, base64url: derived, so that a start repeated with the same nonce gets the same answer although
 * only the token's hash is stored.
 */
export function leaseToken(secret: string, runId: string, epoch: number, nonce: string): string {
  return createHmac('sha256', leaseKey(secret)).update(`${runId}|${epoch}|${nonce}`).digest('base64url');
}
