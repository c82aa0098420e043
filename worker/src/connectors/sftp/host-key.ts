import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';

/** As `ssh-keygen -l` shows it: `SHA256:` and base64 without padding. */
export function fingerprintOf(hostKey: Buffer): string {
  return `SHA256:${createHash('sha256').update(hostKey).digest('base64').replace(/=+$/, '')}`;
}

export interface HostKeyPolicy {
  readonly pinned: string | null;
  /** Accept the key of a server that none is pinned for, to report it. */
  readonly acceptUnknown: boolean;
}

/** Why a server's key is refused; undefined when it is accepted. */
export function judgeHostKey(fingerprint: string, policy: HostKeyPolicy): XVaultError | undefined {
  const { pinned, acceptUnknown } = policy;
  if (pinned === null) {
    return acceptUnknown ? undefined : new XVaultError('SSH_HOST_KEY_UNKNOWN', { params: { fingerprint } });
  }
  if (fingerprint === pinned) return undefined;
  return new XVaultError('SSH_HOST_KEY_CHANGED', { params: { expected: pinned, actual: fingerprint } });
}
