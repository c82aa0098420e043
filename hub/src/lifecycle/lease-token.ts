import { createHmac, hkdfSync } from 'node:crypto';
import type { FinishRequest } from '@xvault/shared/internal-api.ts';
import { equalHashes, hashToken } from '@xvault/shared/tokens.ts';
import type { RunRow } from '../db/schema.ts';

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

/** Whether the worker carries the run out now, under this very lease. */
export function holdsLease(
  run: RunRow,
  workerId: string,
  { epoch, lease_token }: Pick<FinishRequest, 'epoch' | 'lease_token'>,
): boolean {
  return (
    run.status === 'running' &&
    run.worker_id === workerId &&
    run.epoch === epoch &&
    run.lease_token_hash !== null &&
    equalHashes(run.lease_token_hash, hashToken(lease_token))
  );
}
