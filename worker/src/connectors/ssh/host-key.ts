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

/** Kinds of host keys with the signature algorithms that prove them, in the order in which they are asked for. */
const algorithmsByKeyType: ReadonlyMap<string, readonly string[]> = new Map([
  ['ssh-ed25519', ['ssh-ed25519']],
  ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
  ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
  ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
  ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa']],
]);

/** The kind of a public key, which its blob begins with; undefined where it is none of those that are asked for. */
export function hostKeyType(hostKey: Buffer): string | undefined {
  if (hostKey.length < 4) return undefined;
  const type = hostKey.toString('latin1', 4, 4 + hostKey.readUInt32BE(0));
  return algorithmsByKeyType.has(type) ? type : undefined;
}

/** Which algorithms to offer, without those of some kinds of keys; `first` comes before the others. */
export function hostKeyAlgorithms(without: ReadonlySet<string>, first: string | undefined): string[] {
  const types = [...algorithmsByKeyType.keys()].filter((type) => !without.has(type));
  if (first !== undefined && types.includes(first)) types.unshift(...types.splice(types.indexOf(first), 1));
  return types.flatMap((type) => algorithmsByKeyType.get(type) ?? []);
}

const rememberedKeys = 4096;
const typesOfPinned = new Map<string, string>();

/** A server may have keys of several kinds: the kind of a pinned one, once seen, is asked for first. */
export function rememberKeyType(fingerprint: string, type: string): void {
  if (typesOfPinned.size >= rememberedKeys) typesOfPinned.clear();
  typesOfPinned.set(fingerprint, type);
}

export function rememberedKeyType(fingerprint: string | null): string | undefined {
  return fingerprint === null ? undefined : typesOfPinned.get(fingerprint);
}
