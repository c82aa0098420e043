import type { BrowseRequest } from '@xvault/shared/browse.ts';
import { assertNever, XVaultError } from '@xvault/shared/errors.ts';
import { unseal } from '@xvault/shared/sealing.ts';
import { type SourceConnection, type SourceType, sourceSecrets } from '@xvault/shared/sources.ts';
import type { z } from 'zod';
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

/** One source with its opened secret, and the connector that takes just these. */
interface BoundConnector {
  connect(signal: AbortSignal): Promise<SourceSession>;
  probe(signal: AbortSignal): Promise<SourceProbe>;
}

function bind<Config, Secret>(connector: Connector<Config, Secret>, target: Config, secret: Secret): BoundConnector {
  return {
    connect: (signal) => connector.connect(target, secret, signal),
    probe: (signal) => connector.probe(target, secret, signal),
  };
}

/** The one table of connectors; null for the kinds that are rclone's. */
function createBinding(config: WorkerConfig, guard: AddressGuard) {
  const local = createLocalConnector({ allowedRoots: config.XVAULT_LOCAL_ROOTS });
  const s3 = createS3Connector({ guard });
  const sftp = createSftpConnector({ guard });
  const ssh = createSshConnector({ guard });
  const ftp = createFtpConnector({ guard });
  const mysql = createMysqlConnector({ guard });
  const postgres = createPostgresConnector({ guard });
  const wordpress = createWordpressConnector({ guard });
  return async (source: SourceConnection, sealed: string | null): Promise<BoundConnector | null> => {
    const open = <Secret>(schema: z.ZodType<Secret>) =>
      openSecret(schema, sealed, [config.XVAULT_CREDENTIALS_IDENTITY]);
    switch (source.type) {
      case 'local':
        return bind(local, source.config, {});
      case 's3':
        return bind(s3, source.config, await open(sourceSecrets.s3));
      case 'sftp':
        return bind(sftp, pinned(source), await open(sourceSecrets.sftp));
      case 'ssh':
        return bind(ssh, pinned(source), await open(sourceSecrets.ssh));
      case 'ftp':
        return bind(ftp, source.config, await open(sourceSecrets.ftp));
      case 'mysql':
        return bind(mysql, pinned(source), await open(sourceSecrets.mysql));
      case 'postgres':
        return bind(postgres, pinned(source), await open(sourceSecrets.postgres));
      case 'wordpress':
        return bind(wordpress, pinned(source), await open(sourceSecrets.wordpress));
      case 'webdav':
      case 'smb':
      case 'google_drive':
      case 'dropbox':
        return null;
      default:
        return assertNever(source);
    }
  };
}

export function createSourceConnector(config: WorkerConfig, guard: AddressGuard): SourceConnector {
  const bound = createBinding(config, guard);
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
      const connector = await bound(source, sealed);
      if (connector !== null) return connector.connect(signal);
      const secret = await secretOf(source, sealed);
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
      const connector = await bound(source, sealed);
      if (connector !== null) return connector.probe(signal);
      const secret = await secretOf(source, sealed);
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

/** What connectors over SSH get: the config with the pinned host key. */
export function pinned<Config extends object>({
  config,
  host_key,
}: {
  readonly config: Config;
  readonly host_key: string | null;
}): Config & { host_key: string | null } {
  return { ...config, host_key };
}

/** Of any kind of source, checked by the schema of its type; empty for those without. Throws ERR_DECRYPT_SOURCE_CONFIG. */
export async function openSourceSecret(
  type: SourceType,
  sealed: string | null,
  identities: readonly string[],
): Promise<unknown> {
  const schema: z.ZodType | null = sourceSecrets[type];
  return schema === null ? {} : openSecret(schema, sealed, identities);
}

/** Throws ERR_DECRYPT_SOURCE_CONFIG. */
export async function openSecret<Secret>(
  schema: z.ZodType<Secret>,
  sealed: string | null,
  identities: readonly string[],
): Promise<Secret> {
  if (sealed === null) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the source has no secret' });
  const parsed = schema.safeParse(JSON.parse(await unseal(sealed, identities)));
  if (!parsed.success) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the secret has another shape' });
  return parsed.data;
}
