import { XVaultError } from '@xvault/shared/errors.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import { type SourceConnection, type SourceType, sourceSecrets } from '@xvault/shared/sources.ts';
import type { WorkerConfig } from '../config.ts';
import type { Connector, SourceProbe, SourceSession } from '../connectors/connector.ts';
import { createFtpConnector } from '../connectors/ftp/connector.ts';
import { createLocalConnector } from '../connectors/local/connector.ts';
import { createMysqlConnector } from '../connectors/mysql/connector.ts';
import { createPostgresConnector } from '../connectors/postgres/connector.ts';
import { createS3Connector } from '../connectors/s3/connector.ts';
import { createSftpConnector } from '../connectors/sftp/connector.ts';
import { createSshConnector } from '../connectors/ssh/connector.ts';
import { createWordpressConnector } from '../connectors/wordpress/connector.ts';
import { createAddressGuard } from '../net/guard.ts';

/** Reaches any source by its type, with the secret still sealed. */
export interface SourceConnector {
  connect(source: SourceConnection, sealed: string | null, signal: AbortSignal): Promise<SourceSession>;
  probe(source: SourceConnection, sealed: string | null, signal: AbortSignal): Promise<SourceProbe>;
}

/** A connector whose config and secret were checked by the schemas of its type. */
// biome-ignore lint/suspicious/noExplicitAny: each kind has its own types; `sourceSecrets` and the spec's schema check them.
type AnyConnector = Connector<any, any>;

/** The one table of connectors. */
function createConnectors(config: WorkerConfig): Partial<Record<SourceType, AnyConnector>> {
  const guard = createAddressGuard({ allow: config.XVAULT_ALLOW_NETWORKS });
  return {
    local: createLocalConnector({ allowedRoots: config.XVAULT_LOCAL_ROOTS }),
    s3: createS3Connector({ guard }),
    sftp: createSftpConnector({ guard }),
    ssh: createSshConnector({ guard }),
    ftp: createFtpConnector({ guard }),
    mysql: createMysqlConnector({ guard }),
    postgres: createPostgresConnector({ guard }),
    wordpress: createWordpressConnector({ guard }),
  };
}

export function createSourceConnector(config: WorkerConfig): SourceConnector {
  const connectors = createConnectors(config);
  const identities = [config.XVAULT_CREDENTIALS_IDENTITY];
  const connectorFor = ({ type }: SourceConnection): AnyConnector => {
    const connector = connectors[type];
    if (connector === undefined) throw new XVaultError('NO_CAPABLE_WORKER', { detail: `no connector for ${type}` });
    return connector;
  };
  return {
    async connect(source, sealed, signal) {
      const secret = await openSourceSecret(source.type, sealed, identities);
      return connectorFor(source).connect(targetOf(source), secret, signal);
    },
    async probe(source, sealed, signal) {
      const secret = await openSourceSecret(source.type, sealed, identities);
      return connectorFor(source).probe(targetOf(source), secret, signal);
    },
  };
}

/** What a connector gets: the config, with the pinned host key where the kind has one. */
export function targetOf(source: SourceConnection) {
  return 'host_key' in source ? { ...source.config, host_key: source.host_key } : source.config;
}

/** Throws ERR_DECRYPT_SOURCE_CONFIG. */
export async function openSourceSecret(
  type: SourceType,
  sealed: string | null,
  identities: readonly string[],
): Promise<unknown> {
  const schema = sourceSecrets[type];
  if (schema === null) return {};
  if (sealed === null) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the source has no secret' });
  const parsed = schema.safeParse(JSON.parse(await unseal(sealed, identities)));
  if (!parsed.success) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the secret has another shape' });
  return parsed.data;
}
