import { XVaultError } from '@xvault/shared/errors.ts';
import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { connectSsh, defaultSshTimeouts, type SshClient, type SshEndpoint } from '../ssh/client.ts';

export interface DatabaseConnectorOptions {
  readonly guard: AddressGuard;
  /** A dump that brings nothing for so long is given up. */
  readonly stallMs?: number;
}

/** Waiting for a lock of somebody else's, a dump brings nothing for long. */
export const defaultStallMs = 600_000;

export interface SshWay {
  readonly ssh: SshEndpoint | null;
  readonly host_key: string | null;
}

/** The login on the server that a database is reached through. */
export async function openSsh(
  guard: AddressGuard,
  { ssh, host_key }: SshWay,
  secret: DatabaseSecret,
  acceptUnknown: boolean,
  signal: AbortSignal,
): Promise<SshClient> {
  if (ssh === null) throw new Error('no SSH server is configured');
  if (secret.ssh === undefined) {
    throw new XVaultError('SOURCE_AUTH_FAILED', { detail: 'there are no credentials for the SSH server' });
  }
  const target = { config: ssh, secret: secret.ssh, hostKey: { pinned: host_key, acceptUnknown } };
  return connectSsh(guard, target, defaultSshTimeouts, signal);
}
