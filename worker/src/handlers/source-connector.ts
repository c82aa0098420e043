import { XVaultError } from '@xvault/shared/errors.ts';
import type { BrowseRequest } from '@xvault/shared/run-kinds.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import { type SourceConnection, type SourceType, sourceSecrets } from '@xvault/shared/sources.ts';
import type { WorkerConfig } from '../config.ts';
import type { Connector, SourceProbe, SourceSession } from '../connectors/connector.ts';
import { createFtpConnector } from '../connectors/ftp/connector.ts';
import { createLocalConnector } from '../connectors/local/connector.ts';
import { createMysqlConnector } from '../connectors/mysql/connector.ts';
import { createPostgresConnector } from '../connectors/postgres/connector.ts';
import { browseLink, toBrowse } from '../connectors/rclone/browse.ts';
import { listRoot, type RcloneLink } from '../connectors/rclone/link.ts';
import { probeLink } from '../connectors/rclone/probe.ts';
import { rcloneSession } from '../connectors/rclone/session.ts';
import { createS3Connector } from '../connectors/s3/connector.ts';
import { createSftpConnector } from '../connectors/sftp/connector.ts';
import { createSshConnector } from '../connectors/ssh/connector.ts';
import { createWordpressConnector } from '../connectors/wordpress/connector.ts';
import type { AddressGuard } from '../net/guard.ts';
import { openRcloneSource, type RcloneSourceRequest } from './rclone-source.ts';
import type { Keeping } from './sync-secrets.ts';

/** Reaches any source by its type, with the secret still sealed. */
export interface SourceConnector {
  /** `run` is what asks: sources that act by a connection keep its renewed token with it. */
  connect(source: SourceConnection, sealed: string | null, signal: AbortSignal, run: Keeping): Promise<SourceSession>;
  probe(source: SourceConnection, sealed: string | null, signal: AbortSignal, run: Keeping): Promise<SourceProbe>;
  /** What it could be pointed at. */
  browse(
    source: SourceConnection,
    sealed: string | null,
    signal: AbortSignal,
    run: Keeping,
    request: BrowseRequest,
  ): Promise<Awaited<ReturnType<typeof browseLink>>>;
}

/** A connector whose config and secret were checked by the schemas of its type. */
// biome-ignore lint/suspicious/noExplicitAny: each kind has its own types; `sourceSecrets` and the spec's schema check them.
type AnyConnector = Connector<any, any>;

/** The one table of connectors. */
function createConnectors(config: WorkerConfig, guard: AddressGuard): Partial<Record<SourceType, AnyConnector>> {
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

export function createSourceConnector(config: WorkerConfig, guard: AddressGuard): SourceConnector {
  const connectors = createConnectors(config, guard);
  const secretOf = ({ type }: SourceConnection, sealed: string | null) =>
    openSourceSecret(type, sealed, [config.XVAULT_CREDENTIALS_IDENTITY]);
  // All other kinds are rclone's.
  const withLink = async <T>(request: RcloneSourceRequest, work: (link: RcloneLink) => Promise<T>): Promise<T> => {
    const link = await openRcloneSource(request, { config, guard });
    try {
      return await work(link);
    } finally {
      await link.close();
    }
  };
  return {
    async connect(source, sealed, signal, run) {
      const secret = await secretOf(source, sealed);
      const connector = connectors[source.type];
      if (connector !== undefined) return connector.connect(targetOf(source), secret, signal);
      const link = await openRcloneSource({ source, secret, run, isQuestion: false, signal }, { config, guard });
      try {
        await listRoot(link, signal);
        return rcloneSession(link);
      } catch (error) {
        await link.close();
        throw error;
      }
    },
    async probe(source, sealed, signal, run) {
      const secret = await secretOf(source, sealed);
      const connector = connectors[source.type];
      if (connector !== undefined) return connector.probe(targetOf(source), secret, signal);
      return withLink({ source, secret, run, isQuestion: true, signal }, (link) => probeLink(link, signal));
    },
    async browse(source, sealed, signal, run, request) {
      const secret = await secretOf(source, sealed);
      const at = toBrowse(source, request);
      const asked = { source: at, secret, run, isQuestion: true, signal };
      return withLink(asked, (link) => browseLink(link, source, request, signal));
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
