import { assertNever, XVaultError } from '@xvault/shared/errors.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import { type SftpSecret, type SourceConnection, sftpSecret } from '@xvault/shared/sources.ts';
import type { WorkerConfig } from '../config.ts';
import type { SourceProbe, SourceSession } from '../connectors/connector.ts';
import { createLocalConnector } from '../connectors/local/connector.ts';
import { createSftpConnector } from '../connectors/sftp/connector.ts';
import { createAddressGuard } from '../net/guard.ts';

/** Reaches any source by its type, with the secret still sealed. */
export interface SourceConnector {
  connect(source: SourceConnection, sealed: string | null, signal: AbortSignal): Promise<SourceSession>;
  probe(source: SourceConnection, sealed: string | null, signal: AbortSignal): Promise<SourceProbe>;
}

export function createSourceConnector(config: WorkerConfig): SourceConnector {
  const local = createLocalConnector({ allowedRoots: config.XVAULT_LOCAL_ROOTS });
  const sftp = createSftpConnector({ guard: createAddressGuard({ allow: config.XVAULT_ALLOW_NETWORKS }) });
  const identities = [config.XVAULT_CREDENTIALS_IDENTITY];
  return {
    async connect(source, sealed, signal) {
      switch (source.type) {
        case 'local':
          return local.connect(source.config, {}, signal);
        case 'sftp':
          return sftp.connect(sftpTarget(source), await openSftpSecret(sealed, identities), signal);
        default:
          return assertNever(source);
      }
    },
    async probe(source, sealed, signal) {
      switch (source.type) {
        case 'local':
          return local.probe(source.config, {}, signal);
        case 'sftp':
          return sftp.probe(sftpTarget(source), await openSftpSecret(sealed, identities), signal);
        default:
          return assertNever(source);
      }
    },
  };
}

function sftpTarget(source: Extract<SourceConnection, { type: 'sftp' }>) {
  return { ...source.config, host_key: source.host_key };
}

async function openSftpSecret(sealed: string | null, identities: readonly string[]): Promise<SftpSecret> {
  if (sealed === null) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the source has no secret' });
  const parsed = sftpSecret.safeParse(JSON.parse(await unseal(sealed, identities)));
  if (!parsed.success) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the secret has another shape' });
  return parsed.data;
}
