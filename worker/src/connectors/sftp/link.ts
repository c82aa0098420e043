import { XVaultError } from '@xvault/shared/errors.ts';
import type { SshClient } from '../ssh/client.ts';
import type { Link, Reconnecting } from '../ssh/reconnecting.ts';
import type { SftpWire } from './wire.ts';

/** A login with SFTP open on it. */
export interface SftpLink extends Link {
  readonly client: SshClient;
  readonly wire: SftpWire;
}

/** SFTP that is connected again when it breaks. */
export type SftpLinks = Reconnecting<SftpLink>;

export function sftpLink(client: SshClient, wire: SftpWire): SftpLink {
  return {
    client,
    wire,
    async close() {
      wire.fail(new XVaultError('SOURCE_LOST', { detail: 'the session was closed' }));
      await client.close();
    },
  };
}
